package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// speaksHTTP says whether post reaches the store.
func (t *target) speaksHTTP() bool { return t.options.Protocol == clickhouse.HTTP }

// post sends body through ClickHouse's HTTP interface, past the client library,
// and returns the answer as the engine wrote it. The statement is body, or
// begins in the parameter query.
func (s *Store) post(ctx context.Context, params url.Values, body io.Reader) (*http.Response, error) {
	o := &s.target.options
	u := url.URL{Scheme: "http", Host: o.Addr[0], Path: "/" + strings.TrimPrefix(o.HttpUrlPath, "/"), RawQuery: params.Encode()}
	if o.TLS != nil {
		u.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, err
	}
	for name, value := range o.HttpHeaders {
		req.Header.Set(name, value)
	}
	if o.Auth.Username != "" {
		req.Header.Set("X-ClickHouse-User", o.Auth.Username)
		req.Header.Set("X-ClickHouse-Key", o.Auth.Password)
	}
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		code, _ := strconv.Atoi(res.Header.Get("X-ClickHouse-Exception-Code"))
		return nil, &refusal{code, strings.TrimSpace(string(text))}
	}
	return res, nil
}

// refusal is an answer with an error in it.
type refusal struct {
	code int // ClickHouse's, 0 when unknown
	text string
}

func (r *refusal) Error() string { return "ClickHouse refuses: " + r.text }

// insertHTTP sends a block as it is.
func (s *Store) insertHTTP(ctx context.Context, b *block) error {
	params := s.settings()
	params.Set("database", s.target.database)
	params.Set("query", b.insertQuery()+" FORMAT Native")
	res, err := s.post(ctx, params, bytes.NewReader(b.data))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	// A server that fails late has promised success already, and then says so here.
	text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err == nil && len(text) > 0 {
		err = fmt.Errorf("ClickHouse fails: %s", strings.TrimSpace(string(text)))
	}
	return err
}

// settings are those of the store's URL, and readonly.
func (s *Store) settings() url.Values {
	params := url.Values{"wait_end_of_query": {"1"}}
	for name, value := range s.target.options.Settings {
		params.Set(name, fmt.Sprint(value))
	}
	return params
}

func (t *target) newTransport() http.RoundTripper {
	o := &t.options
	proxy := http.ProxyFromEnvironment
	if o.HTTPProxyURL != nil {
		proxy = http.ProxyURL(o.HTTPProxyURL)
	}
	return &http.Transport{
		Proxy: proxy, TLSClientConfig: o.TLS, IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Timeout: o.DialTimeout}).DialContext,
	}
}

// askVersion returns the engine's version, such as "26.7.2.1", in the way
// that even the oldest server understands.
func (s *Store) askVersion(ctx context.Context) (string, error) {
	if !s.target.speaksHTTP() {
		return s.greet(ctx)
	}
	res, err := s.post(ctx, nil, strings.NewReader("SELECT version() FORMAT TabSeparated"))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 256))
	return strings.TrimSpace(string(text)), err
}

// greet exchanges the first message of the native protocol with the first
// server that answers, and hangs up.
func (s *Store) greet(ctx context.Context) (string, error) {
	var errs []error
	for _, addr := range s.target.options.Addr {
		version, err := s.greetOne(ctx, addr)
		if err == nil {
			return version, nil
		}
		errs = append(errs, fmt.Errorf("greet %s: %w", addr, err))
	}
	return "", errors.Join(errs...)
}

func (s *Store) greetOne(ctx context.Context, addr string) (string, error) {
	o := &s.target.options
	conn, err := s.dial(ctx, addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := conn.SetDeadline(time.Now().Add(o.DialTimeout)); err != nil {
		return "", err
	}
	var hello chproto.Buffer
	hello.PutByte(proto.ClientHello)
	(proto.ClientHandshake{ProtocolVersion: clickhouse.ClientTCPProtocolVersion, ClientName: "canopy"}).Encode(&hello)
	for _, text := range []string{"", cmp.Or(o.Auth.Username, "default"), o.Auth.Password} {
		hello.PutString(text)
	}
	if _, err := conn.Write(hello.Buf); err != nil {
		return "", err
	}
	return readGreeting(chproto.NewReader(conn))
}

func (s *Store) dial(ctx context.Context, addr string) (net.Conn, error) {
	o := &s.target.options
	dialer := &net.Dialer{Timeout: o.DialTimeout}
	if o.TLS != nil {
		return (&tls.Dialer{NetDialer: dialer, Config: o.TLS}).DialContext(ctx, "tcp", addr)
	}
	return dialer.DialContext(ctx, "tcp", addr)
}

// readGreeting reads a server's first message as far as the version.
func readGreeting(r *chproto.Reader) (string, error) {
	packet, err := r.ReadByte()
	if err != nil {
		return "", fmt.Errorf("read greeting: %w (is this ClickHouse's native port? its HTTP port wants an http:// URL)", err)
	}
	switch packet {
	case proto.ServerHello:
	case proto.ServerException:
		var e proto.Exception
		if err := e.Decode(r); err != nil {
			return "", fmt.Errorf("read refusal: %w", err)
		}
		return "", fmt.Errorf("ClickHouse refuses: %w", &e)
	default:
		return "", errors.New("what answers is not ClickHouse's native port; its HTTP port wants an http:// URL")
	}
	if _, err := r.Str(); err != nil { // the server's name
		return "", fmt.Errorf("read greeting: %w", err)
	}
	major, err := r.UVarInt()
	if err != nil {
		return "", fmt.Errorf("read greeting: %w", err)
	}
	minor, err := r.UVarInt()
	if err != nil {
		return "", fmt.Errorf("read greeting: %w", err)
	}
	return strconv.FormatUint(major, 10) + "." + strconv.FormatUint(minor, 10), nil
}
