package cluster

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

// Indexes of pods.
const byApp, byAddress = "app", "address"

// Objects is a cache of the objects in the cluster, fed by watches.
type Objects struct {
	// Changes counts the changes of pods, ConfigMaps and Secrets: the objects that configure backends.
	Changes atomic.Int64

	PodInformer     cache.SharedIndexInformer
	NodeInformer    cache.SharedIndexInformer
	Pods            listers.PodLister
	Services        listers.ServiceLister
	ConfigMaps      listers.ConfigMapLister
	Secrets         listers.SecretLister
	Nodes           listers.NodeLister
	Namespaces      listers.NamespaceLister
	Claims          listers.PersistentVolumeClaimLister
	Volumes         listers.PersistentVolumeLister
	ingresses       networkinglisters.IngressLister
	NetworkPolicies networkinglisters.NetworkPolicyLister
}

func newObjects(ctx context.Context, kube *kubernetes.Clientset) (*Objects, error) {
	factory := informers.NewSharedInformerFactory(kube, 0)
	v := &Objects{
		PodInformer:     factory.Core().V1().Pods().Informer(),
		NodeInformer:    factory.Core().V1().Nodes().Informer(),
		Pods:            factory.Core().V1().Pods().Lister(),
		Services:        factory.Core().V1().Services().Lister(),
		ConfigMaps:      factory.Core().V1().ConfigMaps().Lister(),
		Secrets:         factory.Core().V1().Secrets().Lister(),
		Nodes:           factory.Core().V1().Nodes().Lister(),
		Namespaces:      factory.Core().V1().Namespaces().Lister(),
		Claims:          factory.Core().V1().PersistentVolumeClaims().Lister(),
		Volumes:         factory.Core().V1().PersistentVolumes().Lister(),
		ingresses:       factory.Networking().V1().Ingresses().Lister(),
		NetworkPolicies: factory.Networking().V1().NetworkPolicies().Lister(),
	}
	if err := v.PodInformer.AddIndexers(cache.Indexers{
		byApp: func(object any) ([]string, error) {
			return []string{object.(*core.Pod).Labels["app.kubernetes.io/name"]}, nil
		},
		byAddress: func(object any) ([]string, error) { return []string{object.(*core.Pod).Status.PodIP}, nil },
	}); err != nil {
		return nil, err
	}
	bump := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { v.Changes.Add(1) }, UpdateFunc: func(any, any) { v.Changes.Add(1) }, DeleteFunc: func(any) { v.Changes.Add(1) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		v.PodInformer, factory.Core().V1().ConfigMaps().Informer(), factory.Core().V1().Secrets().Informer(),
	} {
		if _, err := informer.AddEventHandler(bump); err != nil {
			return nil, err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, errors.New("cannot watch " + kind.String())
		}
	}
	return v, nil
}

func (v *Objects) AllNodes() []*core.Node {
	nodes, _ := v.Nodes.List(labels.Everything())
	return nodes
}

// NodeAddress is empty for a node that is not known.
func (v *Objects) NodeAddress(name string) string {
	node, err := v.Nodes.Get(name)
	if err != nil {
		return ""
	}
	return node.Status.Addresses[0].Address
}

func (v *Objects) AllIngresses() []*networking.Ingress {
	ingresses, _ := v.ingresses.List(labels.Everything())
	return ingresses
}

func (v *Objects) podsBy(index, key string) []*core.Pod {
	objects, _ := v.PodInformer.GetIndexer().ByIndex(index, key)
	pods := []*core.Pod{}
	for _, object := range objects {
		pods = append(pods, object.(*core.Pod))
	}
	return pods
}

// ReadyPods of an app, oldest first.
func (v *Objects) ReadyPods(name string) []*core.Pod {
	pods := slices.DeleteFunc(v.podsBy(byApp, name), func(pod *core.Pod) bool { return !IsReady(pod) || pod.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b *core.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods
}

// Endpoint is a ready pod and one of its ports.
type Endpoint struct {
	Pod  *core.Pod
	Port int
}

// service finds a ready pod behind a Service's port, as kube-proxy would.
func (v *Objects) service(service *core.Service, port int) (Endpoint, bool) {
	for _, entry := range service.Spec.Ports {
		if int(entry.Port) != port {
			continue
		}
		pods, _ := v.Pods.Pods(service.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
		for _, pod := range pods {
			if !IsReady(pod) || len(service.Spec.Selector) == 0 {
				continue
			}
			if target, ok := containerPort(pod, entry); ok {
				return Endpoint{pod, target}, true
			}
		}
	}
	return Endpoint{}, false
}

// Find resolves HOST:PORT of the simulated cluster: a Service's name or ClusterIP, or a pod's address.
func (v *Objects) Find(address string) (Endpoint, bool) {
	host, text, err := net.SplitHostPort(address)
	port, convErr := strconv.Atoi(text)
	if err != nil || convErr != nil {
		return Endpoint{}, false
	}
	if parts := strings.Split(strings.TrimSuffix(host, ".cluster.local"), "."); len(parts) == 3 && parts[2] == "svc" {
		service, err := v.Services.Services(parts[1]).Get(parts[0])
		if err != nil {
			return Endpoint{}, false
		}
		return v.service(service, port)
	}
	services, _ := v.Services.List(labels.Everything())
	for _, service := range services {
		if service.Spec.ClusterIP == host {
			return v.service(service, port)
		}
	}
	for _, pod := range v.podsBy(byAddress, host) {
		if IsReady(pod) && Declares(pod, port) {
			return Endpoint{pod, port}, true
		}
	}
	return Endpoint{}, false
}

// IsKnown: the host is an IP address or the name of a Service.
func (v *Objects) IsKnown(target string) bool {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	parts := strings.Split(strings.TrimSuffix(host, ".cluster.local"), ".")
	if len(parts) != 3 || parts[2] != "svc" {
		return false
	}
	_, err = v.Services.Services(parts[1]).Get(parts[0])
	return err == nil
}
