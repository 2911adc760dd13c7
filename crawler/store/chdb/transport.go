package chdb

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// RoundTrip answers one request of ClickHouse's HTTP interface in process. It
// understands the URL parameters query, database, default_format,
// client_protocol_version and param_*; every other one is a setting of this
// statement. What the engine refuses is an answer with status 500 and the
// header X-ClickHouse-Exception-Code, as a server gives it.
func (e *Engine) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	return e.serve(req)
}

// serve runs req.
func (e *Engine) serve(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	r, revision, err := parseRequest(req)
	if err != nil {
		return failure(req, http.StatusBadRequest, newException(err.Error())), nil
	}
	a, err := e.shared.run(ctx, r)
	if err != nil {
		var exception *Exception
		if !errors.As(err, &exception) {
			return nil, err
		}
		return failure(req, http.StatusInternalServerError, exception), nil
	}
	return success(ctx, req, r, a, revision), nil
}

func success(ctx context.Context, req *http.Request, r request, a *answer, revision uint64) *http.Response {
	raw := a.bytes()
	res := response(req, http.StatusOK)
	res.Header.Set("X-ClickHouse-Format", r.format)
	res.Header.Set("Content-Type", contentType(r.format))
	res.ContentLength = int64(len(raw))
	switch {
	case len(raw) == 0:
		a.free()
		res.Body = http.NoBody
	case strings.EqualFold(r.format, "Native") && revision > 0:
		res.ContentLength = -1
		res.Body = newBody(ctx, a, newRecoder(raw, revision))
	default:
		res.Body = newBody(ctx, a, bytes.NewReader(raw))
	}
	return res
}

// contentType never names what a browser would run.
func contentType(format string) string {
	switch format = strings.ToLower(format); {
	case strings.HasPrefix(format, "json"), strings.HasPrefix(format, "ndjson"):
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(format, "csv"):
		return "text/csv; charset=UTF-8"
	case format == "native", format == "parquet", format == "orc", format == "npy", format == "msgpack",
		strings.HasPrefix(format, "rowbinary"), strings.HasPrefix(format, "arrow"):
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}

func failure(req *http.Request, status int, e *Exception) *http.Response {
	text := e.Text + "\n"
	res := response(req, status)
	res.Header.Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.Code))
	res.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	res.ContentLength = int64(len(text))
	res.Body = io.NopCloser(strings.NewReader(text))
	return res
}

func response(req *http.Request, status int) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"X-Clickhouse-Server-Display-Name": {"canopy"}, "X-Clickhouse-Timezone": {"UTC"}},
	}
}

// notSettings are URL parameters that say something about the request itself.
var notSettings = map[string]bool{
	"query": true, "database": true, "default_format": true, "client_protocol_version": true,
	"query_id": true, "quota_key": true, "session_id": true, "session_timeout": true, "session_check": true,
	"user": true, "password": true, "wait_end_of_query": true, "buffer_size": true,
	"compress": true, "decompress": true, "enable_http_compression": true,
	"log_comment": true, // names the statement, so that it can be killed
}

var settingName = regexp.MustCompile(`^\w+$`)

// parseRequest reads the request, its whole body included. revision is the
// protocol version at which the client expects Native blocks, 0 if it did not
// say.
func parseRequest(req *http.Request) (r request, revision uint64, err error) {
	values := req.URL.Query()
	if r, revision, err = parseURL(values); err != nil {
		return r, 0, err
	}
	body, err := readBody(req, maxEmbeddedBody, func() error { return nil })
	if err != nil {
		return r, 0, err
	}
	r.setQuery(values.Get("query"), body)
	return r, revision, nil
}

// maxEmbeddedBody bounds what this process may ask of its own engine.
const maxEmbeddedBody = 4 << 30

func parseURL(values url.Values) (r request, revision uint64, err error) {
	r = request{
		format: "TabSeparated", database: values.Get("database"),
		settings: map[string]string{}, params: map[string]string{},
	}
	if f := values.Get("default_format"); f != "" {
		r.format = f
	}
	if v := values.Get("client_protocol_version"); v != "" {
		if revision, err = strconv.ParseUint(v, 10, 32); err != nil {
			return r, 0, fmt.Errorf("read client_protocol_version: %w", err)
		}
	}
	return r, revision, r.readParameters(values)
}

func (r *request) readParameters(values url.Values) error {
	for name := range values {
		value := values.Get(name)
		switch param, isParam := strings.CutPrefix(name, "param_"); {
		case isParam:
			r.params[param] = value
		case (name == "compress" || name == "decompress") && value == "1":
			return errors.New("the embedded engine answers uncompressed: turn off the client's compression")
		case notSettings[name]:
		case !settingName.MatchString(name):
			return fmt.Errorf("%q is no setting", name)
		default:
			r.settings[name] = value
		}
	}
	return nil
}

// errBody means that a request is longer, unpacked, than it may be.
var errBody = errors.New("the request is too long")

// smallBody is what everybody may send at once.
const smallBody = 64 << 10

// readBody reads and unpacks a request of at most limit bytes, however short
// it was when packed. It asks more before it reads beyond smallBody.
func readBody(req *http.Request, limit int64, more func() error) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body := io.Reader(req.Body)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("read gzip request: %w", err)
		}
		body = unzipped
	default:
		return nil, fmt.Errorf("content encoding %q is not understood: send gzip or plain", encoding)
	}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "multipart/") {
		return nil, errors.New("external tables are not supported by the embedded engine")
	}
	// What the client says of the length is claimed, not proven.
	var text bytes.Buffer
	if n, err := text.ReadFrom(io.LimitReader(body, smallBody)); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	} else if n < smallBody {
		return text.Bytes(), nil
	}
	if err := more(); err != nil {
		return nil, err
	}
	text.Grow(int(min(max(req.ContentLength, 0), limit, 64<<20)) + bytes.MinRead)
	if _, err := text.ReadFrom(io.LimitReader(body, limit+1-smallBody)); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if int64(text.Len()) > limit {
		return nil, errBody
	}
	return text.Bytes(), nil
}

// setQuery puts the statement together: it may be in the URL, in the body, or
// begin in the one and go on in the other.
func (r *request) setQuery(inURL string, body []byte) {
	if len(body) > 0 && inURL != "" {
		if statement, format, ok := splitInsert(inURL); ok {
			r.query, r.format, r.data, r.insert = statement, format, body, true
			return
		}
		inURL += "\n"
	}
	r.query = inURL + string(body)
	r.format = ownFormat(r.query, r.format)
}
