package manifests

import (
	"strings"
	"testing"
)

// What a machine answers about its cgroup driver stands in both configurations as it is, an error too.
func TestTheCgroupDriverIsWrittenAsAnswered(t *testing.T) {
	for _, answer := range []string{"cgroupfs", "bash: line 1: docker: command not found"} {
		init, err := KubeadmInit{Version: "v1.16.3", CgroupDriver: answer}.Text("")
		if err != nil {
			t.Fatal(err)
		}
		join, err := JoinConfig("v1.16.3", "10.103.97.2:6443", "", answer, Join{})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{init, join} {
			if !strings.Contains(text, "\ncgroupDriver: "+answer+"\n") || !strings.Contains(text, "criSocket: /var/run/dockershim.sock") {
				t.Errorf("cgroupDriver: %s: not in\n%s", answer, text)
			}
		}
	}
	if text, err := (KubeadmInit{Version: "v1.20.15"}).Text(""); err != nil || !strings.Contains(text, "criSocket: /run/containerd/containerd.sock") {
		t.Errorf("%v\n%s", err, text)
	}
}
