// Prometheus' exporter-toolkit itself: says what it thinks of web configuration files, and serves with one.
//
//	access judge FILE...   one line of JSON a file: null, or why it is refused
//	access serve FILE      serves /metrics as FILE says; the first line of standard output is the address
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/exporter-toolkit/web"
)

func main() {
	if len(os.Args) < 3 {
		fail("what to do, and with which file?")
	}
	switch os.Args[1] {
	case "judge":
		judge(os.Args[2:])
	case "serve":
		serve(os.Args[2])
	default:
		fail("nobody knows how to " + os.Args[1])
	}
}

func judge(files []string) {
	lines := json.NewEncoder(os.Stdout)
	for _, file := range files {
		var refusal any
		if err := web.Validate(file); err != nil {
			refusal = err.Error()
		}
		if err := lines.Encode(refusal); err != nil {
			fail(err.Error())
		}
	}
}

func serve(file string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(listener.Addr())
	metrics := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "up 1")
	})
	server := &http.Server{Handler: metrics}
	flags := &web.FlagConfig{WebConfigFile: &file}
	fail(web.Serve(listener, server, flags, slog.New(slog.NewTextHandler(io.Discard, nil))).Error())
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
