// Package played tells a machine of the lab on which kubeadm and kubelet are the lab's own (no containers run there, and no Docker).
package played

import "os"

// Machine says whether this is one.
func Machine() bool {
	_, err := os.Stat("/var/lib/lab-images")
	return err == nil
}
