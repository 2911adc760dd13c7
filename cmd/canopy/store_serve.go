package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"canopy/crawler/store"
)

// servePassword is the variable that holds the password of store serve: on the
// command line everybody on the machine could read it.
const servePassword = "CANOPY_SERVE_PASSWORD"

const (
	mostConnections = 4096
	maxServedHeader = 128 << 10 // a query may be in the URL
)

// stopWithin bounds how long requests may go on after Ctrl-C.
const stopWithin = 10 * time.Second

func newStoreServe(a *app) *cobra.Command {
	var listen string
	var write bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Let ClickHouse clients read an embedded record over HTTP", Args: cobra.NoArgs,
		Long: `Serve ClickHouse's HTTP interface on an embedded record until Ctrl-C. Clients can read
the record only; with --write they may also send rows and migrations, and remove whole
months. The password comes from ` + servePassword + `; without that variable one is made up
and printed. A unix socket needs none: who may open it is up to its folder and the system.
It speaks plain HTTP: to be reached from elsewhere it belongs behind a proxy that speaks TLS.
docs/server.md tells what clients may ask, and what keeps them in.`,
		Example: `  canopy store serve
  curl 127.0.0.1:8123 --user canopy:PASSWORD --data 'SELECT network, count() FROM visits GROUP BY network'
  canopy store serve --listen unix:/run/canopy/record.sock
  CANOPY_SERVE_PASSWORD=... canopy store serve --write
  CANOPY_STORE=http://canopy:PASSWORD@127.0.0.1:8123/canopy canopy crawl mainline`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, l, err := takeOver()
			switch {
			case err != nil:
				return fmt.Errorf("serve store: %w", err)
			case l == nil:
				return a.confineServe(cmd.Context(), listen, write)
			}
			return besideMain(func() error { return a.storeServe(cmd.Context(), h, l, write) })
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8123", "`address` to listen on, or unix:PATH for a socket")
	cmd.Flags().BoolVar(&write, "write", false, "allow clients to add to the record")
	return cmd
}

// confineServe listens, and goes on in a process without rights.
func (a *app) confineServe(ctx context.Context, listen string, write bool) error {
	dir, err := store.Folder(a.storeURL)
	if err != nil {
		return usagef("--store: %w", err)
	}
	if dir == "" {
		return errors.New("serve store: only an embedded store (chdb:DIR) can be served; a ClickHouse server serves itself")
	}
	if write {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create store folder: %w (choose a folder that you may write, with --store chdb:DIR)", err)
		}
	}
	l, err := listenServe(ctx, listen)
	if err != nil {
		return err
	}
	defer l.Close()
	h := handover{Listen: listen}
	if l.Addr().Network() != "unix" {
		if h.Password, h.Given = os.Getenv(servePassword), true; h.Password == "" {
			h.Password, h.Given = rand.Text(), false
		}
	}
	args := []string{"store", "serve", "--store", a.storeURL, "--log", a.logLevel, "--json=" + strconv.FormatBool(a.json), "--write=" + strconv.FormatBool(write)}
	return fmt.Errorf("serve store: %w", becomeConfined(h, l, dir, args))
}

// listenServe listens on an address or, for unix:PATH, on a socket that the
// owner alone can open.
func listenServe(ctx context.Context, listen string) (filer, error) {
	network, address := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		network, address = "unix", path
		if err := removeDeadSocket(ctx, path); err != nil {
			return nil, err
		}
	}
	mask := syscall.Umask(0o177)
	l, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	syscall.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("listen: %w (choose another address with --listen)", err)
	}
	switch l := l.(type) {
	case *net.UnixListener:
		l.SetUnlinkOnClose(false)
		return l, nil
	case *net.TCPListener:
		return l, nil
	}
	return nil, fmt.Errorf("listen: %s can't be handed over", l.Addr())
}

// removeDeadSocket removes a socket on which nothing listens any more.
func removeDeadSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // nothing there, or nothing that is ours to remove
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
		conn.Close() //nolint:errcheck // nothing was said
		return fmt.Errorf("listen: another program listens on %s (choose another path with --listen)", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// storeServe serves in a process that has been confined.
func (a *app) storeServe(ctx context.Context, h handover, l net.Listener, write bool) error {
	defer l.Close() //nolint:errcheck // the server has closed it
	for _, wall := range h.Missing {
		a.logger.Warn("this system lacks a wall around the engine", "wall", wall)
	}
	a.spool = store.NoSpool
	return a.withStore(ctx, store.Options{ReadOnly: !write}, func(s *store.Store) error {
		ready := s.Ready
		if write {
			ready = func(ctx context.Context) error { return a.bringUpToDate(ctx, s) }
		}
		if err := ready(ctx); err != nil {
			return fmt.Errorf("serve store: %w", err)
		}
		handler, err := s.Handler(ctx, h.Password)
		if err != nil {
			return err
		}
		if err := a.announceServe(l.Addr(), h, write); err != nil {
			return err
		}
		return serveUntilDone(ctx, l, guardWeb(l.Addr(), hostOf(h.Listen), handler))
	})
}

// announceServe says where clients find the record. It tells the password only
// if nobody knows it yet.
func (a *app) announceServe(addr net.Addr, h handover, write bool) error {
	url := "http://" + addr.String()
	if addr.Network() == "unix" {
		url = "unix:" + addr.String()
	}
	if h.Given {
		h.Password = ""
	}
	if a.json {
		return a.printJSON(struct {
			URL      string   `json:"url"`
			Password string   `json:"password,omitempty"`
			Write    bool     `json:"write"`
			Walls    []string `json:"walls"`
		}{url, h.Password, write, h.Walls})
	}
	rights := "reading only"
	if write {
		rights = "reading and writing"
	}
	fmt.Fprintf(a.stdout, "The record is at %s, for %s.\n", url, rights)
	if h.Password != "" {
		fmt.Fprintf(a.stdout, "Password, for any user name: %s\n", h.Password)
	}
	if len(h.Walls) > 0 {
		fmt.Fprintf(a.stdout, "Walls around the engine: %s.\n", strings.Join(h.Walls, "; "))
	}
	_, err := fmt.Fprintln(a.stdout, "Ctrl-C stops it.")
	return err
}

// serveUntilDone serves until ctx ends, and then lets requests under way come
// to their end.
func serveUntilDone(ctx context.Context, l net.Listener, handler http.Handler) error {
	// Bodies and answers have deadlines of their own, as an insert may take minutes.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: maxServedHeader}
	l = netutil.LimitListener(l, mostConnections)
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // cuts off who is still busy
		}
		stopped <- err
	})
	err := server.Serve(l)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve store: %w", err)
	}
	return <-stopped
}
