package chdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
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
	door    *door           // nil without a password
	lanes   *lanes
	held    atomic.Int64  // bytes of answers that clients have not taken yet
	patient time.Duration // with the body of a query
	queries chan struct{} // a token for each long query that is being sent or runs
	inserts chan struct{} // a token for each long insert
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
	h := &handler{
		engine: e, options: o, schema: map[string]bool{}, lanes: newLanes(), patient: queryWithin,
		queries: make(chan struct{}, mostLongQueries), inserts: make(chan struct{}, mostInserts),
	}
	if o.Password != "" {
		h.door = newDoor(o.Password)
	}
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
	mostIgnored   = 16 << 20 // of what is too long

	mostLongQueries = 64 // at once, of more than smallBody
	mostInserts     = 4
)

// Answers, as they are sent.
const (
	maxAnswer   = 256 << 20 // bytes
	smallAnswer = 1 << 20   // goes out even if others are not taken
	maxHeld     = 512 << 20 // that wait for clients to take them
	answerPiece = 256 << 10
	writeWithin = 20 * time.Second // for each piece
)

// longestRun ends a statement that the engine did not end by itself.
const longestRun = 90 * time.Second

var errTooLong = errors.New("the query has run too long")

// How long bodies may take to arrive.
const (
	queryWithin  = 15 * time.Second
	insertWithin = 2 * time.Minute
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
	}
	res, size, err := h.answer(w, req)
	if r, ok := exceptionOf(err); ok {
		h.refuse(w, req, r)
		return
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone, or its query ran too long
	}
	h.held.Add(size)
	defer h.held.Add(-size)
	copyAnswer(w, res)
}

func (h *handler) refuse(w http.ResponseWriter, req *http.Request, r *refusal) {
	copyAnswer(w, failure(req, r.status, r.Exception)) //nolint:bodyclose // it lies in memory
}

// answer judges and runs one request, and says how many bytes it answers with.
func (h *handler) answer(w http.ResponseWriter, req *http.Request) (res *http.Response, size int64, err error) {
	ctx := req.Context()
	if h.door != nil {
		if err := h.door.knock(ctx, req); err != nil {
			return nil, 0, err
		}
	}
	write := h.options.AllowWrites && req.Method != http.MethodGet && !asksToRead(req.URL.Query().Get("readonly"))
	place := &place{}
	defer place.leave()
	r, revision, err := h.read(w, req, write, place)
	if err != nil {
		return nil, 0, err
	}
	var a *answer
	err = h.lanes.run(ctx, func(ctx context.Context) (err error) {
		a, err = h.run(ctx, &r, write)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if size = int64(len(a.bytes())); size > maxAnswer || size > smallAnswer && h.held.Load()+size > maxHeld {
		a.free()
		if size > maxAnswer {
			return nil, 0, refuse(http.StatusInternalServerError, 396, "TOO_MANY_ROWS_OR_BYTES", "the answer is longer than %d bytes: ask for a part at a time", maxAnswer)
		}
		return nil, 0, busy("clients have not taken their answers yet: come back later")
	}
	return success(req.Context(), req, r, a, revision), size, nil
}

// place is what a long request has taken of the memory for them.
type place struct{ room chan struct{} }

func (p *place) take(ctx context.Context, room chan struct{}) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case room <- struct{}{}:
		p.room = room
		return nil
	case <-timer.C:
		return busy("as many long requests as there is memory for are under way: come back later")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *place) leave() {
	if p.room != nil {
		<-p.room
	}
}

// asksToRead says whether a client gives up its right to write.
func asksToRead(readonly string) bool { return readonly != "" && readonly != "0" }

// run judges a statement and runs it.
func (h *handler) run(ctx context.Context, r *request, write bool) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longestRun, errTooLong)
	defer cancel()
	j, err := h.judge(ctx, r, write)
	if err != nil {
		return nil, err
	}
	r.query, r.database = j.query, h.options.Database
	if !r.insert {
		r.format = ownFormat(r.query, r.format)
	}
	switch {
	case write: // such clients ask the engine for their rights
		r.settings["readonly"] = "0"
	case j.settings:
		r.settings["readonly"] = "2"
	default:
		r.settings["readonly"] = "1"
	}
	a, err := h.engine.shared.run(ctx, *r)
	if errors.Is(context.Cause(ctx), errTooLong) && err != nil {
		return nil, refuse(http.StatusInternalServerError, 159, "TIMEOUT_EXCEEDED", "the query has run for %s and was ended: ask for less", longestRun)
	}
	return a, err
}

// read reads a request as far as it is allowed to go.
func (h *handler) read(w http.ResponseWriter, req *http.Request, write bool, place *place) (request, uint64, error) {
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
	limit, within, room := int64(maxQueryBody), h.patient, h.queries
	if _, _, insert := splitInsert(values.Get("query")); insert && write {
		limit, within, room = maxInsertBody, insertWithin, h.inserts
	}
	whole := req.Body
	req.Body = http.MaxBytesReader(w, whole, limit)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // not every ResponseWriter can
	body, err := readBody(req, limit, func() error { return place.take(req.Context(), room) })
	var tooLong *http.MaxBytesError
	long := errors.Is(err, errBody) || errors.As(err, &tooLong)
	if long {
		_, _ = io.CopyN(io.Discard, whole, mostIgnored) // a client that is still sending would not read why it is refused
	}
	_ = control.SetReadDeadline(time.Time{})
	switch {
	case long:
		return r, 0, tooLarge("the request is longer than the %d bytes that this server takes, unpacked", limit)
	case errors.As(err, new(*refusal)):
		return r, 0, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return r, 0, refuse(http.StatusRequestTimeout, 209, "SOCKET_TIMEOUT", "the request did not arrive within %s", within)
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

// copyAnswer sends an answer to a client that takes it.
func copyAnswer(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(writeWithin)) // not every ResponseWriter can
		_, err := io.CopyN(w, res.Body, answerPiece)
		if errors.Is(err, io.EOF) {
			_ = control.SetWriteDeadline(time.Time{})
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
	}
}
