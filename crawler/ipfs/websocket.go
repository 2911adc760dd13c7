package ipfs

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// maxUpgrade bounds what a server may send, in bytes, until the WebSocket
// stands: certificates and the headers of its answer.
const maxUpgrade = 64 << 10

// openWebSocket makes a stream of bytes over WebSocket out of a connection that
// stands. Over TLS the certificate proves nothing that matters here and is not
// looked at: who the peer is, the handshake above says.
func openWebSocket(ctx context.Context, raw net.Conn, c candidate) (net.Conn, error) {
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	wary := &waryConn{Conn: raw, left: maxUpgrade}
	u := url.URL{Scheme: string(c.transport), Host: c.addr.String()}
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return wary, nil }}
	if c.transport == WSS {
		d.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, ServerName: c.name} //nolint:gosec // see above
		if c.name != "" {
			u.Host = fmt.Sprintf("%s:%d", c.name, c.addr.Port())
		}
	}
	conn, _, err := d.DialContext(ctx, u.String(), nil) //nolint:bodyclose // the body of the answer is in memory
	if err != nil {
		return nil, fmt.Errorf("open WebSocket: %w", err)
	}
	wary.left = -1
	return &webSocket{Conn: conn, tcp: raw}, nil
}

// waryConn ends when more than left bytes are read from it; negative is without
// end.
type waryConn struct {
	net.Conn
	left int
}

func (c *waryConn) Read(b []byte) (int, error) {
	if c.left < 0 {
		return c.Conn.Read(b)
	}
	if c.left == 0 {
		return 0, &malformedError{fmt.Errorf("more than %d bytes before the WebSocket stood", maxUpgrade)}
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// webSocket is the bytes of all binary messages, one after the other. Closing
// it says no farewell: the connection below goes with it.
type webSocket struct {
	*websocket.Conn
	tcp     net.Conn
	message io.Reader  // the rest of a message, nil between two
	writing sync.Mutex // held to write and to say how long that may take
}

func (c *webSocket) Read(b []byte) (int, error) {
	for {
		if c.message == nil {
			_, r, err := c.NextReader()
			if err != nil {
				if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway) {
					err = io.EOF
				}
				return 0, err
			}
			c.message = r
		}
		n, err := c.message.Read(b)
		if err == io.EOF {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
	}
}

func (c *webSocket) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// LocalAddr and RemoteAddr are those of TCP: over TLS too they make a
// multiaddr.
func (c *webSocket) LocalAddr() net.Addr  { return c.tcp.LocalAddr() }
func (c *webSocket) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }

func (c *webSocket) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *webSocket) SetWriteDeadline(t time.Time) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.Conn.SetWriteDeadline(t)
}
