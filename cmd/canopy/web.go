package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// guardWeb keeps web pages away from a server on this machine: a browser lets
// any page send requests here, and read what is served under the page's own
// name. Programs are let through; so are people who type the address. listen is
// where the server listens.
func guardWeb(listen net.Addr, name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/plain; charset=UTF-8")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		site := req.Header.Get("Sec-Fetch-Site")
		switch {
		case len(req.Header["Origin"]) > 0, len(req.Header["Sec-Fetch-Site"]) > 0 && site != "none", req.Header.Get("Upgrade") != "":
			refuseWeb(w, "requests of web pages are refused: ask with a program of your own")
		case !knownHost(req.Host, listen, name):
			refuseWeb(w, fmt.Sprintf("%.100q is not a name of this server: ask for its address, or for the name that it was told to listen on", req.Host))
		default:
			next.ServeHTTP(w, req)
		}
	})
}

func refuseWeb(w http.ResponseWriter, text string) {
	w.Header().Set("X-ClickHouse-Exception-Code", "497")
	w.WriteHeader(http.StatusForbidden)
	_, _ = fmt.Fprintf(w, "Code: 497. DB::Exception: %s (ACCESS_DENIED)\n", text)
}

// knownHost says whether a client asked for an address or for a name that we
// know to be ours. Any other may be a page's own name, which its owner has made
// lead here. name is the host that the server was told to listen on.
func knownHost(host string, listen net.Addr, name string) bool {
	if listen.Network() == "unix" {
		return true // no page gets there
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil || host == "" { // a browser always says a name
		return true
	}
	ours, _ := os.Hostname()
	for _, known := range []string{"localhost", name, ours} {
		if known != "" && strings.EqualFold(strings.TrimSuffix(host, "."), known) {
			return true
		}
	}
	return false
}

// hostOf is the host of an address to listen on.
func hostOf(listen string) string {
	host, _, _ := net.SplitHostPort(listen)
	return host
}
