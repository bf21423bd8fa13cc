package boot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table has the shape of the real one, with its circle of calls between scheduler and gateway.
var table = []Module{
	{Name: "gateway", Service: true, HTTP: true, DependsOn: []string{"folder"}, Calls: []string{"scheduler", "state"}},
	{Name: "scheduler", Service: true, DependsOn: []string{"etcd"}, Calls: []string{"state", "lock", "gateway"}},
	{Name: "lock", Service: true, DependsOn: []string{"etcd"}},
	{Name: "etcd", DependsOn: []string{"folder"}},
	{Name: "state", Service: true, DependsOn: []string{"folder"}},
	{Name: "folder"},
}

func names(modules []Module) []string {
	var all []string
	for _, module := range modules {
		all = append(all, module.Name)
	}
	return all
}

func TestPlanStartsWhatIsNeededFirst(t *testing.T) {
	elsewhere := map[string]string{"state": "h:1", "scheduler": "h:1", "lock": "h:1", "gateway": "h:1"}
	for name, test := range map[string]struct {
		only []string
		want []string
	}{
		"all":  {nil, []string{"folder", "gateway", "etcd", "scheduler", "lock", "state"}},
		"one":  {[]string{"lock"}, []string{"folder", "etcd", "lock"}},
		"two":  {[]string{"state", "scheduler"}, []string{"folder", "state", "etcd", "scheduler"}},
		"same": {[]string{"state", "state"}, []string{"folder", "state"}},
	} {
		order, err := plan(table, test.only, elsewhere)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, names(order)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPlanAsksForEveryMissingAddress(t *testing.T) {
	_, err := plan(table, []string{"scheduler"}, map[string]string{"lock": "h:1"})
	refusal, ok := errs.From(err)
	if !ok || len(refusal.Fields()) != 2 || refusal.Fields()[0].Field != "services.state.address" || refusal.Fields()[1].Field != "services.gateway.address" {
		t.Errorf("got %v", err)
	}
}

func TestPlanNamesTheNearMatch(t *testing.T) {
	_, err := plan(table, []string{"schedular"}, nil)
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND) || !strings.Contains(err.Error(), `did you mean "scheduler"?`) {
		t.Errorf("got %v", err)
	}
}

func TestPlanRefusesABrokenTable(t *testing.T) {
	for name, broken := range map[string][]Module{
		"a circle":        {{Name: "a", DependsOn: []string{"b"}}, {Name: "b", DependsOn: []string{"a"}}},
		"itself":          {{Name: "a", DependsOn: []string{"a"}}},
		"an unknown need": {{Name: "a", DependsOn: []string{"b"}}},
		"a double name":   {{Name: "a"}, {Name: "a"}},
		"no name":         {{}},
	} {
		if _, err := plan(broken, nil, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
