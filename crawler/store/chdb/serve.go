package chdb

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
)

// ServeOptions say who may do what through an [Engine.Handler].
type ServeOptions struct {
	Database    string   // that is served
	Password    string   // asked of every request; empty asks for none
	AllowWrites bool     // else only reading is possible
	Tables      []string // that take rows from those who may write
	Schema      []string // statements that those who may write may send, word for word
}

// handler serves one database of an engine.
type handler struct {
	engine  *Engine
	options ServeOptions
	schema  map[string]bool // options.Schema as the engine writes it
	engineNames
}

// Handler serves ClickHouse's HTTP interface on top of the engine, for any
// ClickHouse client. The password may come as a bearer token, as that of HTTP
// basic authentication, in the header X-ClickHouse-Key or in the URL parameter
// password; user names mean nothing. Where it listens is the caller's choice:
// it speaks plain HTTP and belongs on loopback.
//
// A statement runs only if everything in it is on a list: see judge.go and
// the folder allowed.
func (e *Engine) Handler(ctx context.Context, o ServeOptions) (http.Handler, error) {
	h := &handler{engine: e, options: o, schema: map[string]bool{}}
	var err error
	if h.engineNames, err = h.readEngineNames(ctx); err != nil {
		return nil, fmt.Errorf("list functions of the engine: %w", err)
	}
	for _, statement := range o.Schema {
		normal, err := h.normalise(ctx, statement)
		if err != nil {
			return nil, fmt.Errorf("read statement of the schema: %w", err)
		}
		h.schema[normal] = true
	}
	return h, nil
}

// Bodies of requests, unpacked.
const (
	maxQueryBody  = 1 << 20
	maxInsertBody = 256 << 20
)

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.URL.Path == "/ping", req.URL.Path == "/" && req.Method == http.MethodGet && req.URL.RawQuery == "":
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		_, _ = io.WriteString(w, "Ok.\n")
		return
	case req.URL.Path != "/":
		http.NotFound(w, req)
		return
	case h.options.Password == "" && !localHost(req.Host):
		// A web page can give its own name our address; a browser then says that name.
		h.refuse(w, req, authenticationFailed("without a password, ask for 127.0.0.1 or localhost"))
		return
	case h.options.Password != "" && subtle.ConstantTimeCompare([]byte(passwordOf(req)), []byte(h.options.Password)) != 1:
		h.refuse(w, req, authenticationFailed("Authentication failed: give the password that `canopy store serve` printed or was given"))
		return
	}
	res, err := h.answer(w, req)
	if r, ok := exceptionOf(err); ok {
		h.refuse(w, req, r)
		return
	}
	if err != nil {
		return // the client has gone
	}
	copyAnswer(w, res)
}

func (h *handler) refuse(w http.ResponseWriter, req *http.Request, r *refusal) {
	copyAnswer(w, failure(req, r.status, r.Exception)) //nolint:bodyclose // it lies in memory
}

// answer judges and runs one request.
func (h *handler) answer(w http.ResponseWriter, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	write := h.options.AllowWrites && req.Method != http.MethodGet
	r, revision, err := h.read(w, req, write)
	if err != nil {
		return nil, err
	}
	j, err := h.judge(ctx, &r, write)
	if err != nil {
		return nil, err
	}
	r.query, r.database = j.query, h.options.Database
	if !r.insert {
		r.format = ownFormat(r.query, r.format)
	}
	switch {
	case j.writes:
		r.settings["readonly"] = "0"
	case j.settings:
		r.settings["readonly"] = "2"
	default:
		r.settings["readonly"] = "1"
	}
	a, err := h.engine.shared.run(ctx, r)
	if err != nil {
		return nil, err
	}
	return success(ctx, req, r, a, revision), nil
}

// read reads a request as far as it is allowed to go.
func (h *handler) read(w http.ResponseWriter, req *http.Request, write bool) (request, uint64, error) {
	values := req.URL.Query()
	r, revision, err := parseURL(values)
	if err != nil {
		return r, 0, badRequest("%s", err)
	}
	if r.database != "" && r.database != h.options.Database {
		return r, 0, accessDenied("database %.64q is not served, only %s", r.database, h.options.Database)
	}
	if !formats.allows(r.format) {
		return r, 0, deniedFormat(r.format)
	}
	if err := r.limitSettings(); err != nil {
		return r, 0, err
	}
	limit := int64(maxQueryBody)
	if _, _, insert := splitInsert(values.Get("query")); insert && write {
		limit = maxInsertBody
	}
	req.Body = http.MaxBytesReader(w, req.Body, limit)
	body, err := readBody(req, limit)
	var tooLong *http.MaxBytesError
	switch {
	case errors.Is(err, errBody) || errors.As(err, &tooLong):
		return r, 0, tooLarge("the request is longer than the %d bytes that this server takes, unpacked", limit)
	case err != nil:
		return r, 0, badRequest("%s", err)
	}
	r.setQuery(values.Get("query"), body)
	return r, revision, nil
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
