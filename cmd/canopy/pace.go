package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/pflag"

	"canopy/crawler"
)

// paceOptions say how fast questions are asked.
type paceOptions struct {
	rate                   float64
	perAddress, perBlock   float64
	toldAddress, toldBlock bool         // the two before were named
	pace                   crawler.Pace // what else there is to it, and what holds of what was not named
}

// burstOf is how many questions at once go with a rate: as many as with the
// default pace, four seconds' worth.
func burstOf(rate float64) int { return max(1, int(math.Ceil(4*rate))) }

// paceFlags declares the settings of the pace.
func paceFlags(flags *pflag.FlagSet, o *paceOptions, rate float64) {
	usual := crawler.DefaultPace()
	rateFlag(flags, &o.rate, new(bool), "rate", rate, "queries per `second` in all")
	rateFlag(flags, &o.perAddress, &o.toldAddress, "rate-per-address", usual.PerAddress.PerSecond,
		"queries per `second` to one address; more than the default is for networks of your own, with --local")
	rateFlag(flags, &o.perBlock, &o.toldBlock, "rate-per-block", usual.PerPrefix.PerSecond,
		"queries per `second` to one /24 of IPv4 or /56 of IPv6; more than the default is for networks of your own, with --local, where there is no bound unless you name one")
}

// checkPace refuses a pace that strangers must not be asked at. Errors begin with
// where the settings are from, and dashes stand before a name.
func (o *crawlOptions) checkPace(where, dashes string) error {
	usual := crawler.DefaultPace()
	for _, r := range []struct {
		name          string
		value, border float64
	}{{"rate-per-address", o.perAddress, usual.PerAddress.PerSecond}, {"rate-per-block", o.perBlock, usual.PerPrefix.PerSecond}} {
		if !o.local && r.value > r.border {
			return usagef("%s: %s%s %g is more than the %g a second that strangers may be asked at: it is for networks of your own, with %slocal",
				where, dashes, r.name, r.value, r.border, dashes)
		}
	}
	return nil
}

// pacing is the pace of these settings. What protects strangers' blocks of
// addresses is not needed on our own, unless it was asked for.
func (o *crawlOptions) pacing() crawler.Pace {
	p := o.pace
	p.Global.PerSecond = o.rate
	if o.local {
		p.PerPrefix, p.Global = crawler.Rate{}, crawler.Rate{PerSecond: o.rate, Burst: 500}
	}
	if o.toldAddress {
		p.PerAddress = crawler.Rate{PerSecond: o.perAddress, Burst: burstOf(o.perAddress)}
	}
	if o.toldBlock {
		p.PerPrefix = crawler.Rate{PerSecond: o.perBlock, Burst: burstOf(o.perBlock)}
	}
	return p
}

// maxRate bounds every rate: a machine asks no more than that in a second.
const maxRate = 1_000_000

// limitedRate is a flag for a rate.
type limitedRate struct {
	to   *float64
	told *bool // it was named
}

func rateFlag(flags *pflag.FlagSet, to *float64, told *bool, name string, value float64, usage string) {
	*to = value
	flags.Var(&limitedRate{to, told}, name, usage)
}

func (r *limitedRate) Set(text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f <= maxRate) { // nor what is no number
		return fmt.Errorf("want a %s", r.Type())
	}
	*r.to, *r.told = f, true
	return nil
}

func (r *limitedRate) String() string {
	if r.to == nil {
		return "0"
	}
	return strconv.FormatFloat(*r.to, 'f', -1, 64)
}

func (r *limitedRate) Type() string { return "rate above 0 and at most 1,000,000 a second" }
