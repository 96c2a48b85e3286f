package kubeadm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealos-istio/tools/kubeadm/internal/kube"
)

type etcdMember struct {
	ID    string   `json:"ID"`
	Name  string   `json:"name"`
	Peers []string `json:"peerURLs"`
}

// etcdClient talks to etcd's JSON gateway with the API server's client certificate.
func etcdClient(address string) (*kube.Client, error) {
	ca, err := os.ReadFile(filepath.Join(pki, "etcd/ca.crt"))
	if err != nil {
		return nil, err
	}
	secure, err := kube.Trusting(ca)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "apiserver-etcd-client.crt"), filepath.Join(pki, "apiserver-etcd-client.key"))
	if err != nil {
		return nil, err
	}
	secure.Certificates = []tls.Certificate{pair}
	return kube.New("https://"+net.JoinHostPort(address, "2379"), "", secure), nil
}

func etcdCall(ctx context.Context, address, path string, body kube.Object) ([]etcdMember, error) {
	client, err := etcdClient(address)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Members []etcdMember `json:"members"`
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = client.Post(ctx, path, body, &answer)
	return answer.Members, err
}

func members(ctx context.Context, address string) ([]etcdMember, error) {
	return etcdCall(ctx, address, "/v3/cluster/member/list", kube.Object{})
}

func peerURL(address string) string { return fmt.Sprintf("https://%s:2380", address) }

// addMember announces this machine to etcd and returns the --initial-cluster that it must start with. Masters that join
// at the same time get in each other's way, so it tries for a while.
func addMember(ctx context.Context, masters []string, node, address string) (string, error) {
	var all []etcdMember
	err := eventually(90*time.Second, func() error {
		var last error
		for _, master := range masters {
			list, err := members(ctx, master)
			if err != nil {
				last = err
				continue
			}
			for _, member := range list {
				if len(member.Peers) > 0 && member.Peers[0] == peerURL(address) {
					all = list
					return nil
				}
			}
			if all, last = etcdCall(ctx, master, "/v3/cluster/member/add", kube.Object{"peerURLs": []string{peerURL(address)}}); last == nil {
				return nil
			}
		}
		time.Sleep(time.Second)
		return last
	})
	if err != nil {
		return "", err
	}
	var initial []string
	for _, member := range all {
		if len(member.Peers) == 0 {
			continue
		}
		name := member.Name
		if member.Peers[0] == peerURL(address) {
			name = node
		} else if name == "" {
			return "", errors.New("another master is joining at this moment and its etcd has not started")
		}
		initial = append(initial, name+"="+member.Peers[0])
	}
	return strings.Join(initial, ","), nil
}

func etcdHealthy(ctx context.Context, address string) error {
	client, err := etcdClient(address)
	if err != nil {
		return err
	}
	var health struct {
		Health string `json:"health"`
	}
	if err := client.Get(ctx, "/health", &health); err != nil {
		return err
	}
	if health.Health != "true" {
		return errors.New("etcd says that it is not healthy")
	}
	return nil
}

// leaveEtcd takes this machine out of an etcd of several members, so that the others keep their quorum.
func leaveEtcd(ctx context.Context, address string) error {
	list, err := members(ctx, address)
	if err != nil {
		return err
	}
	if len(list) < 2 {
		return nil
	}
	var others []string
	id := ""
	for _, member := range list {
		if len(member.Peers) > 0 && member.Peers[0] == peerURL(address) {
			id = member.ID
		} else if len(member.Peers) > 0 {
			host, _, err := net.SplitHostPort(strings.TrimPrefix(member.Peers[0], "https://"))
			if err == nil {
				others = append(others, host)
			}
		}
	}
	if id == "" {
		return nil
	}
	for _, other := range others {
		if _, err = etcdCall(ctx, other, "/v3/cluster/member/remove", kube.Object{"ID": id}); err == nil {
			return nil
		}
	}
	return err
}
