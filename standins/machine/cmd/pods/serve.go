package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

// serve answers on the ports in $PORTS (comma separated) with 200 and says what it stands for ($STANDS_FOR), whatever is asked.
func serve() error {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "The lab's stand-in for %s. It serves nothing.\n", os.Getenv("STANDS_FOR"))
	})
	failed := make(chan error)
	for port := range strings.SplitSeq(os.Getenv("PORTS"), ",") {
		go func() { failed <- http.ListenAndServe(":"+port, answer) }()
	}
	go func() { failed <- pause() }()
	return <-failed
}
