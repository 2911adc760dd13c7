package plant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of a service's answer, in bytes.
const maxAnswer = 1 << 20

// Gateway asks an HTTP gateway (https://specs.ipfs.tech/http-gateways/trustless-gateway/).
type Gateway struct {
	URL    string // such as https://gateway.example
	Agent  string
	Client *http.Client
}

// Ask fetches the block by /ipfs/CID.
func (g Gateway) Ask(ctx context.Context, cid string, _ []string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(g.URL, "/")+"/ipfs/"+cid+"?format=raw", nil)
	if err != nil {
		return nil, fmt.Errorf("ask gateway: %w", err)
	}
	request.Header.Set("User-Agent", g.Agent)
	request.Header.Set("Accept", "application/vnd.ipld.raw")
	response, err := g.Client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask gateway: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask gateway: it answered %s", response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxAnswer))
}

// Pinning asks a pinning service (https://ipfs.github.io/pinning-services-api-spec/)
// and takes the pin back in the end.
type Pinning struct {
	URL    string // of the service's API, such as https://pin.example/psa
	Token  string // of the steward's account there
	Agent  string
	Client *http.Client
	Poll   time.Duration // between two questions whether it is done
}

// pinStatus is the part of the service's answer that counts.
type pinStatus struct {
	ID     string `json:"requestid"`
	Status string `json:"status"` // queued, pinning, pinned or failed
}

// Ask has the block pinned, waits until it is, and unpins it.
func (p Pinning) Ask(ctx context.Context, cid string, from []string) (_ []byte, err error) {
	var pin pinStatus
	body := map[string]any{"cid": cid, "name": "canopy label, to be removed", "origins": from}
	if err := p.call(ctx, http.MethodPost, "/pins", body, &pin); err != nil {
		return nil, err
	}
	path := "/pins/" + url.PathEscape(pin.ID)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if gone := p.call(ctx, http.MethodDelete, path, nil, nil); gone != nil && err == nil {
			err = fmt.Errorf("take the pin back: %w", gone)
		}
	}()
	for pin.Status != "pinned" {
		if pin.Status == "failed" {
			return nil, fmt.Errorf("ask pinning service: it failed to pin %s", cid)
		}
		if !wait(ctx, p.Poll) {
			return nil, fmt.Errorf("ask pinning service: it is %q still: %w", pin.Status, ctx.Err())
		}
		if err := p.call(ctx, http.MethodGet, path, nil, &pin); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// call makes one request; body and answer may be nil.
func (p Pinning) call(ctx context.Context, method, path string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask pinning service: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.URL, "/")+path, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("ask pinning service: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+p.Token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", p.Agent)
	response, err := p.Client.Do(request)
	if err != nil {
		return fmt.Errorf("ask pinning service: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("ask pinning service: it answered %s", response.Status)
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("ask pinning service: read its answer: %w", err)
	}
	return nil
}

// ByHand leaves it to a person to have the content fetched, by any client: it
// waits until the time for one question is over.
type ByHand struct{}

// Ask waits.
func (ByHand) Ask(ctx context.Context, _ string, _ []string) ([]byte, error) {
	<-ctx.Done()
	return nil, nil
}
