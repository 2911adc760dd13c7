package chdb

import (
	"crypto/subtle"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
)

// ServeOptions say who may do what through an [Engine.Handler].
type ServeOptions struct {
	Database    string // for requests that name none
	Password    string // asked of every request; empty asks for none
	AllowWrites bool   // else only reading is possible, and no files or URLs
}

// Handler serves ClickHouse's HTTP interface on top of the engine, for any
// ClickHouse client. The password may come as a bearer token, as that of HTTP
// basic authentication, in the header X-ClickHouse-Key or in the URL parameter
// password; user names mean nothing. Where it listens is the caller's choice:
// it speaks plain HTTP and belongs on loopback.
func (e *Engine) Handler(o ServeOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/ping", req.URL.Path == "/" && req.Method == http.MethodGet && req.URL.RawQuery == "":
			_, _ = io.WriteString(w, "Ok.\n")
			return
		case req.URL.Path != "/":
			http.NotFound(w, req)
			return
		case o.Password == "" && !localHost(req.Host):
			// A web page can give its own name our address; a browser then says that name.
			copyAnswer(w, failure(req, http.StatusForbidden, newException("Code: 516. DB::Exception: without a password, ask for 127.0.0.1 or localhost. (AUTHENTICATION_FAILED)"))) //nolint:bodyclose // it lies in memory
			return
		case o.Password != "" && subtle.ConstantTimeCompare([]byte(passwordOf(req)), []byte(o.Password)) != 1:
			copyAnswer(w, failure(req, http.StatusForbidden, newException("Code: 516. DB::Exception: Authentication failed: give the password that `canopy store serve` printed or was given. (AUTHENTICATION_FAILED)"))) //nolint:bodyclose // it lies in memory
			return
		}
		req.Body = http.MaxBytesReader(w, req.Body, maxServedBody)
		res, err := e.serve(req, o.restrictions(req))
		if err != nil {
			return // the client has gone
		}
		copyAnswer(w, res)
	})
}

// maxServedBody bounds what one request may make us hold in memory.
const maxServedBody = 1 << 30

// restrictions are the settings that a client can't choose.
func (o ServeOptions) restrictions(req *http.Request) map[string]string {
	fixed := map[string]string{}
	if values := req.URL.Query(); values.Get("database") == "" {
		values.Set("database", o.Database)
		req.URL.RawQuery = values.Encode()
	}
	if !o.AllowWrites || req.Method == http.MethodGet {
		fixed["readonly"] = "1"
	}
	return fixed
}

func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func passwordOf(req *http.Request) string {
	if key := req.Header.Get("X-ClickHouse-Key"); key != "" {
		return key
	}
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		return token
	}
	if _, password, ok := req.BasicAuth(); ok {
		return password
	}
	return req.URL.Query().Get("password")
}

func copyAnswer(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
}
