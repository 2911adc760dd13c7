package ipfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	identifypb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/libp2p/go-msgio"
	"github.com/libp2p/go-msgio/pbio"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"canopy/crawler/observation"
)

// maxTalk bounds a conversation, in time-outs of one request: a peer that drags
// out each of its replies must not hold up the crawl.
const maxTalk = 6

// talk is the conversation of one visit. Identify comes first and alone: some
// implementations abort a connection on which streams open before they are
// done setting it up.
func (v *visit) talk(ctx context.Context, l *link) {
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, v.s.w.load.stretch(maxTalk*v.s.w.cfg.RequestTimeout))
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })() // nothing on a closed connection waits
	go v.s.w.identity.serve(l, l.RemoteMultiaddr(), v.s.w.cfg.RequestTimeout)

	card, err := v.identify(ctx, l)
	visit := &v.result.Visit
	visit.Address, visit.Transport, visit.Handshake = l.addr, string(l.transport), l.took
	v.describe(card)
	q := &questions{v: v, l: l}
	peers, partial, asked := dump(ctx, keyPrefix(v.peer), q.ask)
	if asked != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		asked = fmt.Errorf("no end after %d time-outs: %w", maxTalk, ctx.Err())
	}
	visit.Queries = q.sent
	visit.RTT = q.rtt
	if q.answered == 0 {
		v.settle(attempt{candidate: l.candidate, outcome: outcomeOf(asked), err: asked})
		if visit.Outcome == observation.WrongProtocol || visit.Outcome == observation.Reset && denies(card, v.s.w.cfg.Protocol) {
			visit.Outcome = observation.WrongProtocol
			visit.Detail = speaks(card, v.s.w.cfg.Protocol)
		}
		return
	}
	v.result.Neighbours = without(peers, v.peer, v.s.w.identity.self)
	visit.Neighbours = uint32(len(v.result.Neighbours))
	visit.Outcome, visit.Partial, visit.Detail = observation.Answered, partial, ""
	switch {
	case asked != nil:
		visit.Detail = "table cut short: " + firstLine(asked)
	case q.cut:
		visit.Detail = fmt.Sprintf("named more than %d peers in one reply", v.maxNamed())
	case err != nil:
		visit.Detail = "identify: " + firstLine(err)
	}
	if v.protocolsCut > 0 {
		visit.Detail = detail(visit.Detail, fmt.Sprintf("%d more protocols than are kept", v.protocolsCut))
	}
	visit.Detail = observation.Text(visit.Detail)
}

// identify asks the peer who it is. What came before an error is kept.
func (v *visit) identify(ctx context.Context, l *link) (*identifypb.Identify, error) {
	s, err := openStream(ctx, l, identifyID, v.s.w.load.stretch(v.s.w.cfg.RequestTimeout))
	if err != nil {
		return &identifypb.Identify{}, err
	}
	defer s.close()
	return readCard(s)
}

// describe records what the peer says of itself.
func (v *visit) describe(card *identifypb.Identify) {
	visit := &v.result.Visit
	visit.Agent = observation.Text(card.GetAgentVersion())
	visit.Protocols, v.protocolsCut = protocols(card.GetProtocols())
	for _, raw := range card.GetListenAddrs() {
		m, err := multiaddr.NewMultiaddrBytes(raw)
		switch {
		case err != nil:
		case len(raw) > maxAddressBytes:
			v.lost++
		default:
			v.add(m)
			v.own = append(v.own, m)
		}
	}
}

// denies says whether the peer's own list of protocols lacks want. Several
// implementations refuse a protocol by resetting the stream, which may overtake
// their words.
func denies(card *identifypb.Identify, want string) bool {
	return len(card.GetProtocols()) > 0 && !slices.Contains(card.GetProtocols(), want)
}

// speaks says which DHT a peer offers instead of the one that is walked.
func speaks(card *identifypb.Identify, want string) string {
	var dhts []string
	for _, p := range card.GetProtocols() {
		if strings.Contains(p, "/kad/") && p != want {
			dhts = append(dhts, observation.Text(p))
		}
	}
	if len(dhts) == 0 {
		return observation.Text("speaks no DHT protocol, not " + want)
	}
	slices.Sort(dhts)
	more := ""
	if n := len(dhts) - 3; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return observation.Text("speaks " + strings.Join(dhts[:min(len(dhts), 3)], ", ") + more + ", not " + want)
}

// maxNamed is how many peers of one reply are believed: an honest one names k,
// and the target beside them.
func (v *visit) maxNamed() int { return 4 * v.s.w.cfg.K }

// stream is one negotiated stream.
type stream struct {
	multistream.LazyConn
	raw network.MuxedStream
}

// openStream opens a stream whose negotiation travels with the first request.
// Each read and write on it must end within patience.
func openStream(ctx context.Context, l *link, id protocol.ID, patience time.Duration) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := l.OpenStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	s := &stream{multistream.NewMSSelect(raw, id), raw}
	if id == identifyID {
		err = s.Flush()
	}
	return s, err
}

// close ends the stream without waiting for the peer: the connection goes next.
func (s *stream) close() { _ = s.raw.Reset() }

// questions sends the FIND_NODE requests of one visit over one stream.
type questions struct {
	v        *visit
	l        *link
	s        *stream
	r        msgio.ReadCloser
	onStream int // replies that came on s
	sent     uint32
	answered int
	rtt      time.Duration
	cut      bool
	fresh    bool // the one retry on a fresh stream is used up
	single   bool // the peer takes one request per stream
}

// ask sends one request for each target in one flight and reads the replies in
// order. A peer that answers a few requests of a stream and then ends it gets
// the rest on a new one, and so does, once, a peer that ends the first at once.
func (q *questions) ask(ctx context.Context, targets []Peer) ([]reply, error) {
	var replies []reply
	for len(targets) > 0 {
		now := targets
		if q.single {
			now = targets[:1]
		}
		got, err := q.exchange(ctx, now)
		replies = append(replies, got...)
		targets = targets[len(got):]
		if err == nil {
			continue
		}
		if q.s != nil {
			q.s.close()
		}
		again := outcomeOf(err) == observation.Reset && !q.l.IsClosed() && ctx.Err() == nil && (q.onStream > 0 || !q.fresh)
		q.fresh, q.single = q.fresh || q.onStream == 0, q.single || q.onStream > 0
		q.s = nil
		if !again {
			return replies, err
		}
	}
	return replies, nil
}

func (q *questions) exchange(ctx context.Context, targets []Peer) (replies []reply, err error) {
	start, patience := time.Now(), q.v.s.w.load.stretch(q.v.s.w.cfg.RequestTimeout)
	if q.s == nil {
		q.onStream = 0
		if q.s, err = openStream(ctx, q.l, protocol.ID(q.v.s.w.cfg.Protocol), patience); err != nil {
			return nil, err
		}
		q.r = msgio.NewVarintReaderSize(q.s, maxMessage)
	}
	var flight flight
	for _, t := range targets {
		if err = pbio.NewDelimitedWriter(&flight).WriteMsg(findNode(t)); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	_ = q.s.raw.SetDeadline(time.Now().Add(patience))
	q.sent += uint32(len(targets))
	if _, err = q.s.Write(flight); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	for range targets {
		r, err := q.read(patience)
		if err != nil {
			return replies, err
		}
		if q.answered == 0 {
			q.rtt = time.Since(start)
		}
		q.answered++
		q.onStream++
		q.cut = q.cut || r.cut
		replies = append(replies, r)
	}
	return replies, nil
}

func (q *questions) read(patience time.Duration) (reply, error) {
	_ = q.s.raw.SetReadDeadline(time.Now().Add(patience))
	raw, err := q.r.ReadMsg()
	if errors.Is(err, msgio.ErrMsgTooLarge) {
		return reply{}, &malformedError{fmt.Errorf("read reply: longer than %d bytes", maxMessage)}
	}
	if err != nil {
		return reply{}, fmt.Errorf("read reply: %w", err)
	}
	defer q.r.ReleaseMsg(raw)
	r, err := q.v.s.w.book.readReply(raw, q.v.maxNamed())
	if err != nil {
		return r, &malformedError{err}
	}
	return r, nil
}

// flight collects requests that are sent with one write.
type flight []byte

func (f *flight) Write(b []byte) (int, error) {
	*f = append(*f, b...)
	return len(b), nil
}
