package stage

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTextIsWrappedAtBlanksAndKeepsItsColumns(t *testing.T) {
	long := "  a  column   " + strings.Repeat("wörd ", 60)
	for line := range strings.SplitSeq(Wrap(long, 9), "\n") {
		if n := utf8.RuneCountInString(strings.TrimRight(line, " ")); n > width || !strings.HasPrefix(line, strings.Repeat(" ", 11)) {
			t.Errorf("%d: %q", n, line)
		}
	}
	if !strings.Contains(Wrap(long, 9), "a  column   wörd") {
		t.Error("the columns are gone")
	}
	if got := cut("äöü", 2); got != "ä…" {
		t.Error(got)
	}
}

func TestAPageIsPlainWhereNobodyLooks(t *testing.T) {
	var out bytes.Buffer
	p := NewPage(&out)
	p.Section("A part", "What it is about.")
	p.Line("%s", "told")
	p.Sum("things", "3, and no more")
	for _, want := range []string{"── A part ─", "What it is about.\n", "told\n", "  things             3, and no more\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("it is in colours")
	}
}

func TestTheVerdictIsGoodOrNamesWhatIsNot(t *testing.T) {
	var out bytes.Buffer
	p := NewPage(&out)
	if err := p.Verdict("All is well", nil); err != nil || !strings.Contains(out.String(), "\nAll is well (") {
		t.Errorf("%v, and says:\n%s", err, out.String())
	}
	if err := p.Verdict("All is well", []string{"two are one"}); err == nil || !strings.HasSuffix(out.String(), "! two are one\n") {
		t.Errorf("%v, and says:\n%s", err, out.String())
	}
}
