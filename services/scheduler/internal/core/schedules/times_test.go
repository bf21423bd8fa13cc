package schedules

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

func moment(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func timesOf(t testing.TB, s Schedule) *times {
	t.Helper()
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	tm, err := (&record{Schedule: s, Created: moment(t, "2026-01-01T00:00:00Z")}).times()
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// following lists the times after a moment in a zone, as hours and minutes with the zone's abbreviation and, on a change of day, the date.
func following(t testing.TB, tm *times, after string, zone string, n int) string {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	at := moment(t, after)
	for range n {
		next, ok := tm.next(at)
		if !ok {
			out = append(out, "none")
			break
		}
		if !next.After(at) {
			t.Fatalf("%v does not come after %v", next, at)
		}
		at = next
		out = append(out, at.In(loc).Format("2 15:04 MST"))
	}
	return strings.Join(out, ", ")
}

func TestCronTimes(t *testing.T) {
	for _, c := range []struct{ cron, zone, after, want string }{
		{"30 6 * * 1-5", "", "2026-11-20T06:30:00Z", "23 06:30 UTC, 24 06:30 UTC"},
		{"@daily", "Europe/Berlin", "2026-06-01T12:00:00Z", "2 00:00 CEST, 3 00:00 CEST"},
		{"@hourly", "Asia/Kolkata", "2026-06-01T12:00:00Z", "1 18:00 IST, 1 19:00 IST"},
		{"0 0 29 2 *", "", "2026-01-01T00:00:00Z", "29 00:00 UTC, 29 00:00 UTC"},
		{"0 12 13 * 5", "", "2026-11-13T12:00:00Z", "20 12:00 UTC, 27 12:00 UTC, 4 12:00 UTC, 11 12:00 UTC, 13 12:00 UTC"},
		{"*/20 9-10 * jan,jul *", "", "2026-11-13T12:00:00Z", "1 09:00 UTC, 1 09:20 UTC, 1 09:40 UTC, 1 10:00 UTC"},
	} {
		zone := c.zone
		if zone == "" {
			zone = "UTC"
		}
		got := following(t, timesOf(t, Schedule{Cron: c.cron, TimeZone: c.zone, Overlap: Skip}), c.after, zone, strings.Count(c.want, ",")+1)
		if got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.cron, zone, got, c.want)
		}
	}
}

// In Europe/Berlin, 02:00 to 03:00 does not exist on 29 March 2026, and exists twice on 25 October 2026.
func TestClocksPutForwardAndBack(t *testing.T) {
	for _, c := range []struct{ cron, after, want string }{
		{"30 2 * * *", "2026-03-27T12:00:00Z", "28 02:30 CET, 30 02:30 CEST, 31 02:30 CEST"},
		{"*/30 * * * *", "2026-03-29T00:00:00Z", "29 01:30 CET, 29 03:00 CEST, 29 03:30 CEST"},
		{"0 3 * * *", "2026-03-28T12:00:00Z", "29 03:00 CEST"},
		{"30 2 * * *", "2026-10-24T12:00:00Z", "25 02:30 CEST, 26 02:30 CET"},
		{"*/30 * * * *", "2026-10-24T23:30:00Z", "25 02:00 CEST, 25 02:30 CEST, 25 03:00 CET, 25 03:30 CET"},
		{"*/30 * * * *", "2026-10-25T01:10:00Z", "25 03:00 CET"}, // asked in the second pass
		{"0 3 * * *", "2026-10-24T12:00:00Z", "25 03:00 CET"},
	} {
		got := following(t, timesOf(t, Schedule{Cron: c.cron, TimeZone: "Europe/Berlin", Overlap: Skip}), c.after, "Europe/Berlin", strings.Count(c.want, ",")+1)
		if got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.cron, c.after, got, c.want)
		}
	}
}

// In America/Sao_Paulo, midnight of 4 November 2018 did not exist; on Lord Howe the clock moves by half an hour; Samoa had no 30 December 2011.
func TestOddZones(t *testing.T) {
	for _, c := range []struct{ cron, zone, after, want string }{
		{"@daily", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "5 00:00 -02"},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "5 02:15 +11"},
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "5 01:45 +11, 6 01:45 +1030"},
		{"@daily", "Pacific/Apia", "2011-12-29T00:00:00Z", "29 00:00 -10, 31 00:00 +14"},
	} {
		got := following(t, timesOf(t, Schedule{Cron: c.cron, TimeZone: c.zone, Overlap: Skip}), c.after, c.zone, strings.Count(c.want, ",")+1)
		if got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.cron, c.zone, got, c.want)
		}
	}
}

// Whatever the expression, zone and moment: the next time is later, its minute on the wall is one that the expression names, nothing that
// the expression names lies between, and no wall time comes twice.
func TestCronTimesAreAllAndOnlyThose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"}).Draw(t, "zone")
		cron := rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "15,45 1-3 * * *", "30 2 * * 0", "0 0 1,15 * 3"}).Draw(t, "cron")
		c, err := parseCron(cron, zone)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Unix(rapid.Int64Range(1767225600, 1798761600).Draw(t, "after"), 0).UTC()
		next, ok := c.next(after)
		if !ok || !next.After(after) {
			t.Fatalf("%v, %v after %v", next, ok, after)
		}
		for at := after.Truncate(time.Minute).Add(time.Minute); at.Before(next); at = at.Add(time.Minute) {
			if c.names(at) && !c.names2(at) {
				t.Fatalf("%v is left out: next after %v is %v", at.In(c.zone), after.In(c.zone), next.In(c.zone))
			}
		}
		if !c.names(next) || c.names2(next) {
			t.Fatalf("%v is none of its times", next.In(c.zone))
		}
	})
}

// names asks the library's bits about a moment's wall time.
func (c *cronTimes) names(at time.Time) bool {
	w := wallOf(at.In(c.zone))
	return w.Second() == 0 && has(c.spec.Month, int(w.Month())) && c.day(w) && has(c.spec.Hour, w.Hour()) && has(c.spec.Minute, w.Minute())
}

// names2 reports whether a moment's wall time was there a while before.
func (c *cronTimes) names2(at time.Time) bool {
	for _, d := range []time.Duration{30 * time.Minute, time.Hour} {
		if wallOf(at.Add(-d).In(c.zone)).Equal(wallOf(at.In(c.zone))) {
			return true
		}
	}
	return false
}

func TestIntervalsCountFromTheCreation(t *testing.T) {
	tm := timesOf(t, Schedule{Interval: 90 * time.Second, Overlap: Skip})
	for after, want := range map[string]string{
		"2025-06-01T00:00:00Z": "2026-01-01T00:01:30Z", "2026-01-01T00:00:00Z": "2026-01-01T00:01:30Z",
		"2026-01-01T00:01:30Z": "2026-01-01T00:03:00Z", "2026-01-01T00:02:00Z": "2026-01-01T00:03:00Z",
	} {
		if got, ok := tm.next(moment(t, after)); !ok || !got.Equal(moment(t, want)) {
			t.Errorf("after %s comes %v", after, got)
		}
	}
}

func TestLimits(t *testing.T) {
	tm := timesOf(t, Schedule{Interval: time.Hour, Overlap: Skip, Start: moment(t, "2026-01-02T00:00:00Z"), End: moment(t, "2026-01-02T02:00:00Z")})
	if got := following(t, tm, "2026-01-01T00:00:00Z", "UTC", 5); got != "2 00:00 UTC, 2 01:00 UTC, 2 02:00 UTC, none" {
		t.Errorf("times are %s", got)
	}
}

func TestJitterIsTheSameForTheSameTime(t *testing.T) {
	s := Schedule{Namespace: "default", ID: "a", Interval: time.Minute, Jitter: time.Minute, Overlap: Skip}
	tm, again := timesOf(t, s), timesOf(t, s)
	s.ID = "b"
	other := timesOf(t, s)
	at, differs, spread := moment(t, "2026-01-01T00:00:00Z"), false, map[time.Duration]bool{}
	for range 200 {
		at, _ = tm.next(at)
		next, _ := tm.next(at)
		due := tm.due(at)
		if due.Before(at) || !due.Before(next) {
			t.Fatalf("the run of %v is due at %v, the next time is %v", at, due, next)
		}
		if !due.Equal(again.due(at)) {
			t.Fatalf("the run of %v is due at %v and at %v", at, due, again.due(at))
		}
		differs = differs || !due.Equal(other.due(at))
		spread[due.Sub(at).Truncate(6*time.Second)] = true
	}
	if !differs {
		t.Error("two schedules are put off by the same")
	}
	if len(spread) < 10 {
		t.Errorf("the jitter fills %d tenths of the time that it has", len(spread))
	}
}

func TestJitterKeepsWithinTheEnd(t *testing.T) {
	end := moment(t, "2026-01-01T02:00:10Z")
	tm := timesOf(t, Schedule{Interval: time.Hour, Jitter: time.Hour, Overlap: Skip, End: end})
	if due := tm.due(moment(t, "2026-01-01T02:00:00Z")); due.After(end) {
		t.Errorf("the last run is due at %v", due)
	}
}

func TestBadSchedulesAreRefusedByField(t *testing.T) {
	minus := -time.Second
	for want, s := range map[string]Schedule{
		"when: give either":                                                   {},
		"when: give either cron":                                              {Cron: "@daily", Interval: time.Hour},
		"interval: it is shorter":                                             {Interval: time.Millisecond},
		`cron: "* * * *" cannot be read`:                                      {Cron: "* * * *"},
		`cron: "* * * * * *" cannot be read`:                                  {Cron: "* * * * * *"},
		`cron: "61 * * * *" cannot be read`:                                   {Cron: "61 * * * *"},
		`cron: "30-10 * * * *" cannot be read`:                                {Cron: "30-10 * * * *"},
		`cron: "@every 5m" is an interval`:                                    {Cron: "@every 5m"},
		`cron: "@often" is not known`:                                         {Cron: "@often"},
		"cron: it names a time zone":                                          {Cron: "TZ=Europe/Berlin"},
		`cron: "0 0 31 2 *" never comes`:                                      {Cron: "0 0 31 2 *"},
		`cron: ", * * * *" allows no minute`:                                  {Cron: ", * * * *"},
		`time_zone: "Berlin" is not known`:                                    {Cron: "@daily", TimeZone: "Berlin"},
		`time_zone: "Local" is not known`:                                     {Cron: "@daily", TimeZone: "Local"},
		"jitter: it is negative":                                              {Cron: "@daily", Jitter: minus},
		"jitter: 1h0m0s is longer than the interval, 5m0s; give 5m0s or less": {Interval: 5 * time.Minute, Jitter: time.Hour},
		`jitter: 25h0m0s is longer than the shortest time between two times of cron "@daily", 24h0m0s`: {Cron: "@daily", Jitter: 25 * time.Hour},
		`jitter: 5m0s is longer than the shortest time between two times of cron "*/7 9,10 1 * *", 4m`: {Cron: "*/7 9,10 1 * *", Jitter: 5 * time.Minute},
		"catch_up: it is negative":              {Cron: "@daily", CatchUp: &minus},
		"end_time: it is before start_time":     {Cron: "@daily", Start: moment(t, "2026-01-02T00:00:00Z"), End: moment(t, "2026-01-01T00:00:00Z")},
		"input: it is not JSON":                 {Cron: "@daily", Input: []byte("{")},
		`overlap: "twice" is not known`:         {Cron: "@daily", Overlap: "twice"},
		`cron: "a b c d e" cannot be read: fai`: {Cron: "a b c d e"},
	} {
		if s.Overlap == "" {
			s.Overlap = Skip
		}
		err := s.check()
		var refusal *engine.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID || !strings.HasPrefix(refusal.Message, want) {
			t.Errorf("%+v: %v, want %s…", s, err, want)
		}
	}
}

func TestJitterUpToTheShortestDistanceIsTaken(t *testing.T) {
	for _, s := range []Schedule{
		{Interval: time.Minute, Jitter: time.Minute},
		{Cron: "0 9,17 * * 1-5", Jitter: 8 * time.Hour},
		{Cron: "0 1,3 * * *", TimeZone: "Europe/Berlin", Jitter: 2 * time.Hour}, // an hour apart when clocks are put forward
		{Cron: "0 0 29 2 *", Jitter: 1000 * time.Hour},
	} {
		s.Overlap = Skip
		if err := s.check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, seed := range []string{"* * * * *", "@daily", "0 0 1-31/2 * mon-fri", "TZ=x", "@every 1s", "*/0 * * * *", "? ? ? ? ?"} {
		f.Add(seed, "Europe/Berlin")
	}
	after := time.Date(2026, 10, 24, 23, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, cron, zone string) {
		c, err := parseCron(cron, zone)
		if err != nil {
			return
		}
		if next, ok := c.next(after); ok && !next.After(after) {
			t.Errorf("%v does not come after %v", next, after)
		}
	})
}
