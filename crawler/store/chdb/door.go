package chdb

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"time"
)

// door lets those in who know the password. Each wrong one makes everybody who
// asks from the same address wait, twice as long as the one before.
type door struct {
	password [sha256.Size]byte
	mu       sync.Mutex
	from     map[string]*attempts
	first    time.Duration // pause after the first wrong password
}

// attempts are those of one address. They are made one at a time.
type attempts struct {
	turn  chan struct{} // holds one token: who has it may try
	wrong int
	last  time.Time
	users int // waiting or trying, guarded by door.mu
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	forgiveAfter = 10 * time.Minute // without an attempt
	mostWaiting  = 16               // for their turn, from one address
	mostKept     = 4096             // addresses
)

func newDoor(password string) *door {
	return &door{password: sha256.Sum256([]byte(password)), from: map[string]*attempts{}, first: firstPause}
}

// knock returns nil for the right password, after those from the same address
// that came before have had their turn.
func (d *door) knock(ctx context.Context, req *http.Request) error {
	a, err := d.enter(sourceOf(req))
	if err != nil {
		return err
	}
	defer d.leave(a)
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { a.turn <- struct{}{} }()
	given := sha256.Sum256([]byte(passwordOf(req)))
	if subtle.ConstantTimeCompare(given[:], d.password[:]) == 1 {
		return nil
	}
	pause := time.NewTimer(d.pauseAfter(a))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done(): // to hang up does not shorten the pause
		<-pause.C
	}
	return authenticationFailed("Authentication failed: give the password that `canopy store serve` printed or was given")
}

func (d *door) enter(source string) (*attempts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.from[source]
	if a == nil {
		if len(d.from) >= mostKept && !d.forget() {
			return nil, busy("too many addresses try passwords: come back later")
		}
		a = &attempts{turn: make(chan struct{}, 1)}
		a.turn <- struct{}{}
		d.from[source] = a
	}
	if a.users >= mostWaiting && a.wrong > 0 {
		return nil, busy("too many requests from this address wait for their password to be checked, as some were wrong: come back later")
	}
	a.users++
	return a, nil
}

func (d *door) leave(a *attempts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.users--
}

// pauseAfter counts one more wrong password.
func (d *door) pauseAfter(a *attempts) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(a.last) > forgiveAfter {
		a.wrong = 0
	}
	a.wrong, a.last = a.wrong+1, time.Now()
	return min(longestPause, d.first<<min(a.wrong-1, 16))
}

// forget drops addresses whose attempts are forgiven, and says whether there
// were any.
func (d *door) forget() (any bool) {
	for source, a := range d.from {
		if a.users == 0 && time.Since(a.last) > forgiveAfter {
			delete(d.from, source)
			any = true
		}
	}
	return any
}

// sourceOf is the address that a request comes from; of IPv6 its /64, which one
// machine may have all of.
func sourceOf(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}
