package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ErrClaimed means that another observer is at work from a vantage.
var ErrClaimed = errors.New("another observer is at work from this vantage")

const (
	claimLives  = 90 * time.Second // a claim that was not renewed for so long is void
	claimSettle = time.Second      // in which two that begin at once see each other
)

// Claim is one observer's hold on a vantage. An embedded store needs none, for
// only one program can have it open.
type Claim struct {
	s       *Store
	vantage string
	self    osProcess
	id      uuid.UUID
	at      time.Time // by the clock of the server
	beaten  time.Time // by ours
}

// Claim takes hold of a vantage, until [Claim.Release] or until nobody has
// called [Claim.Beat] for a minute and a half. It fails with [ErrClaimed] when
// somebody else has it.
func (s *Store) Claim(ctx context.Context, vantage string) (*Claim, error) {
	self, err := thisProcess()
	if err != nil {
		return nil, fmt.Errorf("claim vantage: %w", err)
	}
	c, err := s.claim(ctx, vantage, self)
	if err != nil {
		return nil, err
	}
	s.observer, s.vantage = c.id, vantage
	return c, nil
}

func (s *Store) claim(ctx context.Context, vantage string, self osProcess) (*Claim, error) {
	c := &Claim{s: s, vantage: vantage, self: self, id: uuid.New()}
	if s.engine != nil {
		return c, nil
	}
	if err := s.conn.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&c.at); err != nil {
		return nil, fmt.Errorf("claim vantage: %w", err)
	}
	if err := c.rivals(ctx, time.Time{}); err != nil {
		return nil, err
	}
	if err := c.write(ctx, false); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), c.Release(context.WithoutCancel(ctx)))
	case <-time.After(claimSettle):
	}
	if err := c.rivals(ctx, c.at); err != nil {
		return nil, errors.Join(err, c.Release(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// rivals looks for living claims of others, of those made until before unless
// that is zero.
func (c *Claim) rivals(ctx context.Context, before time.Time) error {
	rows, err := c.s.conn.Query(ctx, `SELECT host, pid, place, begun, observer, claimed_at FROM observers
		WHERE vantage = ? AND NOT released AND observer != ? AND beat_at > now64(3) - ?`, c.vantage, c.id.String(), claimLives.Seconds())
	if err != nil {
		return fmt.Errorf("claim vantage: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var other osProcess
		var pid uint32
		var id uuid.UUID
		var at time.Time
		if err := rows.Scan(&other.host, &pid, &other.place, &other.begun, &id, &at); err != nil {
			return fmt.Errorf("claim vantage: %w", err)
		}
		other.pid = int(pid)
		later := !before.IsZero() && (at.After(before) || at.Equal(before) && id.String() > c.id.String())
		if later || c.self.outlives(other) {
			continue
		}
		return fmt.Errorf("%w: vantage %q, process %d on %s, since %s", ErrClaimed, c.vantage, pid, other.host, at.Format(time.RFC3339))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("claim vantage: %w", err)
	}
	return nil
}

// Beat renews the claim. It fails with [ErrClaimed] when it came so late that
// somebody else took the vantage.
func (c *Claim) Beat(ctx context.Context) error {
	if c.s.engine != nil {
		return nil
	}
	if time.Since(c.beaten) > claimLives {
		if err := c.rivals(ctx, time.Time{}); err != nil {
			return err
		}
	}
	return c.write(ctx, false)
}

// Release gives the vantage up.
func (c *Claim) Release(ctx context.Context) error {
	if c.s.engine != nil {
		return nil
	}
	return c.write(ctx, true)
}

func (c *Claim) write(ctx context.Context, released bool) error {
	err := c.s.conn.Exec(ctx, `INSERT INTO observers_log (vantage, observer, host, pid, place, begun, claimed_at, beat_at, released)
		SELECT ?, toUUID(?), ?, ?, ?, ?, fromUnixTimestamp64Milli(toInt64(?), 'UTC'), now64(3, 'UTC'), ?`,
		c.vantage, c.id.String(), c.self.host, c.self.pid, c.self.place, c.self.begun, c.at.UnixMilli(), flag(released)) // the client binds times to the second
	if err != nil {
		return fmt.Errorf("renew claim on vantage: %w", err)
	}
	c.beaten = time.Now()
	return nil
}
