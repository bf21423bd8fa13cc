package schedules

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a time zone means the same on a machine without a data base of them

	"github.com/robfig/cron/v3"
)

// cronTimes are the times of a cron expression. Only the parser is the library's: the loop over time is ours.
type cronTimes struct {
	spec *cron.SpecSchedule
	zone *time.Location
}

// parser reads five fields, or a name as "@daily".
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// names are the expressions that have one. "@every" is not among them: that is an interval.
var names = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}

func parseCron(expression, zone string) (*cronTimes, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	expression = strings.TrimSpace(expression)
	switch {
	case strings.Contains(expression, "TZ="):
		return nil, badField("cron", "it names a time zone; give that as time_zone")
	case strings.HasPrefix(expression, "@every"):
		return nil, badField("cron", "%q is an interval; give it as interval", expression)
	case strings.HasPrefix(expression, "@") && !known(expression):
		return nil, badField("cron", "%q is not known; names are %s", expression, strings.Join(names, ", "))
	}
	parsed, err := parser.Parse(expression)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return nil, badField("cron", "%q cannot be read: %v; give minute, hour, day of month, month and day of week, as in \"30 6 * * 1-5\"", expression, err)
	}
	c := &cronTimes{spec: spec, zone: loc}
	for _, f := range []struct {
		name string
		bits uint64
	}{{"minute", spec.Minute}, {"hour", spec.Hour}, {"day of month", spec.Dom}, {"month", spec.Month}, {"day of week", spec.Dow}} {
		if f.bits == 0 {
			return nil, badField("cron", "%q allows no %s", expression, f.name)
		}
	}
	if _, ok := c.nextWall(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return nil, badField("cron", "%q never comes: no month of it has such a day", expression)
	}
	return c, nil
}

func known(name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, badField("time_zone", "%q is not known; give a name of the IANA data base, as in \"Europe/Berlin\"", name)
	}
	return loc, nil
}

// next is the first time after a moment. A time of the wall clock that does not exist there is passed over, and one that exists twice
// counts once, the first time.
func (c *cronTimes) next(after time.Time) (time.Time, bool) {
	wall := wallOf(after.In(c.zone))
	for {
		w, ok := c.nextWall(wall)
		if !ok {
			return time.Time{}, false
		}
		if t, exists := first(w, c.zone); exists && t.After(after) {
			return t, true
		}
		wall = w
	}
}

// shortestOf is how many times in a row are looked at for the shortest time between two: all of a day, and of a year when there are four a day.
const shortestOf = 1500

// shortest is the shortest time between two times, by the clock on the wall: on the days on which clocks are changed it may be shorter. False: there
// are no two.
func (c *cronTimes) shortest() (shortest time.Duration, ok bool) {
	last, there := c.nextWall(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	for range shortestOf {
		next, more := c.nextWall(last)
		if !there || !more {
			break
		}
		if gap := next.Sub(last); !ok || gap < shortest {
			shortest, ok = gap, true
		}
		last = next
	}
	return shortest, ok
}

// wallOf is what the clock on the wall shows, written as if it were UTC: so it can be counted on without gaps.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// first is the first moment at which the wall clock of a zone shows a time; false: it never does.
func first(wall time.Time, zone *time.Location) (time.Time, bool) {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	if !wallOf(t).Equal(wall) {
		return time.Time{}, false
	}
	begin, _ := t.ZoneBounds()
	if begin.IsZero() {
		return t.UTC(), true
	}
	_, before := begin.Add(-time.Nanosecond).Zone()
	if earlier := wall.Add(-time.Duration(before) * time.Second); earlier.Before(begin) && wallOf(earlier.In(zone)).Equal(wall) {
		return earlier, true
	}
	return t.UTC(), true
}

// maxYears is how far ahead a time is looked for: between two 29ths of February there can be eight.
const maxYears = 9

// nextWall is the next minute after a moment of the wall clock that the expression names.
func (c *cronTimes) nextWall(after time.Time) (time.Time, bool) {
	t := after.Truncate(time.Minute).Add(time.Minute)
	last := t.Year() + maxYears
	for t.Year() <= last {
		if !has(c.spec.Month, int(t.Month())) {
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !c.day(t) {
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !has(c.spec.Hour, t.Hour()) {
			t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour()+1, 0, 0, 0, time.UTC)
			continue
		}
		if has(c.spec.Minute, t.Minute()) {
			return t, true
		}
		t = t.Add(time.Minute)
	}
	return time.Time{}, false
}

// star marks a field that allows everything.
const star = 1 << 63

// day reports whether a day is one of the expression's. As cron has it, of two restricted fields one is enough.
func (c *cronTimes) day(t time.Time) bool {
	ofMonth, ofWeek := has(c.spec.Dom, t.Day()), has(c.spec.Dow, int(t.Weekday()))
	if c.spec.Dom&star != 0 || c.spec.Dow&star != 0 {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}

func has(bits uint64, n int) bool { return bits&(1<<uint(n)) != 0 }

func badField(field, format string, args ...any) error {
	return invalid(field + ": " + fmt.Sprintf(format, args...))
}
