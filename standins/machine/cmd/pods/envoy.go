package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

type socket struct {
	SocketAddress struct {
		Address string `json:"address"`
		Port    int    `json:"port_value"`
	} `json:"socket_address"`
}

func (s socket) String() string {
	return fmt.Sprintf("%s:%d", s.SocketAddress.Address, s.SocketAddress.Port)
}

// bootstrap is what is read of the file that pilot-agent writes for Envoy.
type bootstrap struct {
	Admin struct {
		Address socket `json:"address"`
	} `json:"admin"`
	Static struct {
		Listeners []json.RawMessage `json:"listeners"`
		Clusters  []json.RawMessage `json:"clusters"`
	} `json:"static_resources"`
}

// envoy stands for Istio's Envoy, which no registry has: it answers pilot-agent as an Envoy that has its configuration, passes on what
// comes to the listeners in its own file (readiness, metrics), and has no others.
func envoy() error {
	if os.Getenv("PORTS") != "" { // Contour's, which is told by xDS alone where to listen
		return serve()
	}
	path := ""
	for index, argument := range os.Args {
		if (argument == "-c" || argument == "--config-path") && index+1 < len(os.Args) {
			path = os.Args[index+1]
		}
		if argument == "--version" {
			fmt.Println("envoy  version: the lab's stand-in")
			return nil
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	config, err := read(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintln(os.Stderr, "The lab's stand-in for Istio's Envoy: it carries no traffic.")
	failed := make(chan error)
	go func() { failed <- http.ListenAndServe(config.Admin.Address.String(), admin()) }()
	for _, text := range config.Static.Listeners {
		address, proxy, err := listener(text, config.Static.Clusters)
		if err != nil {
			return err
		}
		go func() { failed <- http.ListenAndServe(address, proxy) }()
	}
	go func() { failed <- pause() }()
	return <-failed
}

// read takes JSON, and YAML, which the proxies beside istiod, Galley and Mixer have in profile separate.
func read(data []byte) (config bootstrap, err error) {
	// Istio's template leaves commas before closing brackets, which Envoy takes
	data = regexp.MustCompile(`,(\s*[\]}])`).ReplaceAll(data, []byte("$1"))
	if !json.Valid(data) {
		var tree any
		if err := yaml.Unmarshal(data, &tree); err != nil {
			return config, err
		}
		if data, err = json.Marshal(tree); err != nil {
			return config, err
		}
	}
	return config, json.Unmarshal(data, &config)
}

// admin answers as Envoy's administration does where pilot-agent asks it.
func admin() http.Handler {
	stats := map[string]string{
		"cluster_manager.cds.update_success": "1", "cluster_manager.cds.update_rejected": "0",
		"listener_manager.lds.update_success": "1", "listener_manager.lds.update_rejected": "0",
		"server.state": "0", "listener_manager.workers_started": "1",
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range stats {
			_, _ = fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	})
	mux.HandleFunc("/stats/prometheus", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "# TYPE envoy_server_live gauge\nenvoy_server_live 1")
		// Contour's shutdown manager keeps a pod that ends, for its grace period of 300 s, until this says 0
		_, _ = fmt.Fprintln(w, "# TYPE envoy_http_downstream_cx_active gauge")
		for _, listener := range []string{"ingress_http", "ingress_https"} {
			_, _ = fmt.Fprintf(w, "envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix=%q} 0\n", listener)
		}
	})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "LIVE") })
	mux.HandleFunc("/server_info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, `{"version": "the lab's stand-in", "state": "LIVE"}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "The lab's stand-in for Istio's Envoy.")
	})
	return mux
}

// listener is where one of the file listens, and what passes requests on to the cluster that its route names; one that leads to a
// socket file refuses them.
func listener(text json.RawMessage, clusters []json.RawMessage) (string, http.Handler, error) {
	var own struct {
		Address socket `json:"address"`
	}
	if err := json.Unmarshal(text, &own); err != nil {
		return "", nil, err
	}
	for _, raw := range clusters {
		var named struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(raw, &named); err != nil {
			return "", nil, err
		}
		if !strings.Contains(string(text), fmt.Sprintf("%q", named.Name)) {
			continue
		}
		_, rest, found := strings.Cut(string(raw), `"socket_address"`)
		if !found {
			refuse := func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "the lab's stand-in", http.StatusServiceUnavailable)
			}
			return own.Address.String(), http.HandlerFunc(refuse), nil
		}
		var target socket
		decoder := json.NewDecoder(strings.NewReader(strings.TrimLeft(rest, ": \n\t")))
		if err := decoder.Decode(&target.SocketAddress); err != nil {
			return "", nil, err
		}
		return own.Address.String(), httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target.String()}), nil
	}
	return "", nil, errors.New("a listener leads to no cluster of the file")
}
