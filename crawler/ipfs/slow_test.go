package ipfs

import (
	"strings"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"

	"canopy/crawler/observation"
)

// endless names whoever it is asked for, so that no reply ever goes beyond its
// part of the table, and takes its time.
func endless(pause time.Duration, done <-chan struct{}) func(network.Stream) {
	return func(s network.Stream) {
		r, w := msgio.NewVarintReader(s), msgio.NewVarintWriter(s)
		for {
			raw, err := r.ReadMsg()
			if err != nil {
				return
			}
			var request pb.Message
			if proto.Unmarshal(raw, &request) != nil {
				return
			}
			select {
			case <-time.After(pause):
			case <-done:
				return
			}
			if w.WriteMsg(naming(&pb.Message_Peer{Id: request.GetKey()})) != nil {
				return
			}
		}
	}
}

// TestTablesWithoutEnd meets a server whose table seems to have no end, and one
// that tells it slowly besides: at half a second a reply all requests would take
// two minutes.
func TestTablesWithoutEnd(t *testing.T) {
	cfg := Config{RequestTimeout: time.Second}
	for i, pause := range []time.Duration{0, 500 * time.Millisecond} {
		r := visitOne(t, cfg, fakeServer(t, 140+i, endless(pause, t.Context().Done())))
		v := r.Visit
		if v.Outcome != observation.Answered || !v.Partial || v.Queries == 0 || v.Queries > maxRequests || len(r.Neighbours) == 0 {
			t.Errorf("pause of %s: %s, partial %v, %d requests, %d neighbours", pause, v.Outcome, v.Partial, v.Queries, len(r.Neighbours))
		}
		if slow := strings.Contains(v.Detail, "no end after"); slow != (pause > 0) {
			t.Errorf("pause of %s: detail %q", pause, v.Detail)
		}
	}
}
