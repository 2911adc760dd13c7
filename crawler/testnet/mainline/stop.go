package mainline

import (
	"errors"
	"maps"
)

// Stop stops nodes by number, whatever the plan says, until the next Advance.
// Tables stay as they are and go on naming them: nobody was told.
func (n *Network) Stop(numbers ...int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errors.New("stop nodes of a local Mainline network: it is closed")
	}
	stopped := map[int]bool{}
	if before := n.swarm.stopped.Load(); before != nil {
		maps.Copy(stopped, *before)
	}
	for _, number := range numbers {
		stopped[number] = true
		if r := n.real[number]; r != nil {
			r.stop()
			delete(n.real, number)
		}
	}
	n.swarm.stopped.Store(&stopped)
	return nil
}

// up says whether a light node answers.
func (s *swarm) up(number int) bool {
	stopped := s.stopped.Load()
	return s.view.Load().Up(number) && (stopped == nil || !(*stopped)[number])
}
