package store

import (
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

// post sends one statement through ClickHouse's HTTP interface, past the
// client library, and returns the answer as the engine wrote it.
func (s *Store) post(ctx context.Context, query string, params url.Values) (*http.Response, error) {
	o := &s.target.options
	u := url.URL{Scheme: "http", Host: o.Addr[0], Path: "/" + strings.TrimPrefix(o.HttpUrlPath, "/"), RawQuery: params.Encode()}
	if o.TLS != nil {
		u.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(query))
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
	res, err := s.roundTripper().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, fmt.Errorf("ClickHouse refuses: %s", strings.TrimSpace(string(text)))
	}
	return res, nil
}

func (s *Store) roundTripper() http.RoundTripper {
	if s.engine != nil {
		return s.engine
	}
	o := &s.target.options
	proxy := http.ProxyFromEnvironment
	if o.HTTPProxyURL != nil {
		proxy = http.ProxyURL(o.HTTPProxyURL)
	}
	return &http.Transport{
		Proxy: proxy, TLSClientConfig: o.TLS, DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: o.DialTimeout}).DialContext,
	}
}

// askVersion returns the engine's version, such as "26.7.2.1", in the way
// that even the oldest server understands.
func (s *Store) askVersion(ctx context.Context) (string, error) {
	if !s.target.speaksHTTP() {
		return s.greet(ctx)
	}
	res, err := s.post(ctx, "SELECT version() FORMAT TabSeparated", nil)
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
	for _, text := range []string{"", o.Auth.Username, o.Auth.Password} {
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
