package main

import (
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/boot"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
)

func find(modules []boot.Module, name string) (boot.Module, bool) {
	at := slices.IndexFunc(modules, func(m boot.Module) bool { return m.Name == name })
	if at < 0 {
		return boot.Module{}, false
	}
	return modules[at], true
}

// Whatever a module needs is in the table, and before it: so there is no circle, and the order of the table is one of starting.
func TestTableHasEverythingThatModulesNeed(t *testing.T) {
	modules := table().Modules
	var before []string
	for _, module := range modules {
		for _, needed := range module.DependsOn {
			if !slices.Contains(before, needed) {
				t.Errorf("%s depends on %s, which does not stand before it", module.Name, needed)
			}
		}
		for _, called := range module.Calls {
			if other, ok := find(modules, called); !ok || !other.Service {
				t.Errorf("%s calls %s, which is no service of the table", module.Name, called)
			}
		}
		if module.Start == nil {
			t.Errorf("%s cannot be started", module.Name)
		}
		before = append(before, module.Name)
	}
}

// Every service can have an address in the configuration, and every address is of a service.
func TestTableAndConfigurationNameTheSameServices(t *testing.T) {
	here := config.Service{Address: "127.0.0.1:1"}
	addresses := config.Services{State: here, Scheduler: here, Lock: here, Recovery: here, Escalation: here, Gateway: here}.Addresses()
	for _, module := range table().Modules {
		if _, ok := addresses[module.Name]; module.Service && !ok {
			t.Errorf("services.%s.address does not exist", module.Name)
		}
		delete(addresses, module.Name)
	}
	if len(addresses) > 0 {
		t.Errorf("no module offers %v", addresses)
	}
}

func TestOnlyEmbeddedEtcdKeepsData(t *testing.T) {
	suite := table()
	if parts := suite.KeepsData(config.Config{}); !slices.Equal(parts, []string{"state", "etcd"}) {
		t.Errorf("embedded: %v", parts)
	}
	if parts := suite.KeepsData(config.Config{Etcd: config.Etcd{Endpoints: []string{"http://etcd:2379"}}}); !slices.Equal(parts, []string{"state"}) {
		t.Errorf("a cluster elsewhere: %v", parts)
	}
	for _, part := range suite.KeepsData(config.Config{}) {
		if _, ok := find(suite.Modules, part); !ok {
			t.Errorf("%s keeps data and is no module", part)
		}
	}
}

// 0 in the file means none, which is another number to the service.
func TestTheCacheOfRecoveryIsAsLargeAsTheFileSays(t *testing.T) {
	for said, want := range map[int]int64{0: -1, 1 << 20: 1 << 20, config.Default().Recovery.CacheBytes: 64 << 20} {
		if got := recoveryConfig(config.Recovery{CacheBytes: said}); got.CacheBytes != want || got.Validate() != nil {
			t.Errorf("cache_bytes %d: %+v, %v", said, got, got.Validate())
		}
	}
}
