package reports

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/crawler/observation"
)

// A crowd of identities at one endpoint changes no share, and the page says
// that it was there.
func TestInventedIdentitiesChangeNoShare(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	peers, crawls := population("alpha"), crawlsEvery(3, time.Minute, observation.ScopeLocal)
	write(t, s, alpha, crawls, peers)
	for i := range 50 {
		p := peers[0]
		p.id, p.up = fmt.Sprintf("invented-%d", i), always
		peers = append(peers, p)
	}
	write(t, s, beta, crawls, peers)
	r := build(t, s.DB())
	plain, crowded := r.Networks[0], r.Networks[1]
	if plain.Aside.Peers != 0 || crowded.Aside.Peers != 51 {
		t.Errorf("%d and %d IDs are set aside, want 0 and 51: those invented and the one whose endpoint they use", plain.Aside.Peers, crowded.Aside.Peers)
	}
	if crowded.Peers != plain.Peers-1 {
		t.Errorf("%d peers are counted, %d without the crowd", crowded.Peers, plain.Peers)
	}
	_, html := writeTo(t, r)
	if !strings.Contains(html, "Who is not counted") || !strings.Contains(html, "Many IDs at one endpoint") {
		t.Error("the page does not say who is set aside")
	}
}
