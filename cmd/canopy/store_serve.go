package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/store"
)

// servePassword is the variable that holds the password of store serve: on the
// command line everybody on the machine could read it.
const servePassword = "CANOPY_SERVE_PASSWORD"

// stopWithin bounds how long requests may go on after Ctrl-C.
const stopWithin = 10 * time.Second

func newStoreServe(a *app) *cobra.Command {
	var listen string
	var write bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Let ClickHouse clients read an embedded record over HTTP", Args: cobra.NoArgs,
		Long: `Serve ClickHouse's HTTP interface on an embedded record until Ctrl-C. Clients can read
only, unless --write is given. The password comes from ` + servePassword + `; without that variable one is made
up and printed, except that reading from this machine alone needs none. It speaks plain HTTP:
to be reached from elsewhere it belongs behind a proxy that speaks TLS.`,
		Example: `  canopy store serve
  curl 127.0.0.1:8123 --data 'SELECT network, count() FROM visits GROUP BY network'
  CANOPY_SERVE_PASSWORD=... canopy store serve --write
  CANOPY_STORE=http://canopy:PASSWORD@127.0.0.1:8123/canopy canopy crawl mainline`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.storeServe(cmd.Context(), listen, write) },
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8123", "`address` to listen on")
	cmd.Flags().BoolVar(&write, "write", false, "allow clients to change the record")
	return cmd
}

func (a *app) storeServe(ctx context.Context, listen string, write bool) error {
	return a.withStore(ctx, store.Options{ReadOnly: !write}, func(s *store.Store) error {
		ready := s.Ready
		if write {
			ready = func(ctx context.Context) error { return a.bringUpToDate(ctx, s) }
		}
		if err := ready(ctx); err != nil {
			return fmt.Errorf("serve store: %w", err)
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
		if err != nil {
			return fmt.Errorf("listen: %w (choose another address with --listen)", err)
		}
		defer l.Close()
		password, given := os.LookupEnv(servePassword)
		if password == "" && (write || !onLoopback(l.Addr())) {
			password, given = rand.Text(), false
		}
		handler, err := s.Handler(ctx, password)
		if err != nil {
			return err
		}
		if given {
			password = "" // its giver knows it
		}
		if err := a.announceServe(l.Addr(), password, write); err != nil {
			return err
		}
		return serveUntilDone(ctx, l, handler)
	})
}

func onLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// announceServe says where clients find the record. password is only what
// they can't know yet.
func (a *app) announceServe(addr net.Addr, password string, write bool) error {
	url := "http://" + addr.String()
	if a.json {
		return a.printJSON(struct {
			URL      string `json:"url"`
			Password string `json:"password,omitempty"`
			Write    bool   `json:"write"`
		}{url, password, write})
	}
	rights := "reading only"
	if write {
		rights = "reading and writing"
	}
	fmt.Fprintf(a.stdout, "The record is at %s, for %s.\n", url, rights)
	if password != "" {
		fmt.Fprintf(a.stdout, "Password, for any user name: %s\n", password)
	}
	_, err := fmt.Fprintln(a.stdout, "Ctrl-C stops it.")
	return err
}

// serveUntilDone serves until ctx ends, and then lets requests under way come
// to their end.
func serveUntilDone(ctx context.Context, l net.Listener, handler http.Handler) error {
	// A crawl may send an insert over minutes, so only the header has a deadline.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
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
