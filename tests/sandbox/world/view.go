package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	listers "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

// Indexes of pods.
const byApp, byAddress = "app", "address"

// view is what stands in the cluster, fed by watches.
type view struct {
	// changes counts what happened to pods, ConfigMaps and Secrets: what backends are made of.
	changes atomic.Int64

	podInformer  cache.SharedIndexInformer
	nodeInformer cache.SharedIndexInformer
	pods         listers.PodLister
	services     listers.ServiceLister
	configs      listers.ConfigMapLister
	secrets      listers.SecretLister
	nodeLister   listers.NodeLister
	namespaces   listers.NamespaceLister
	claims       listers.PersistentVolumeClaimLister
	volumes      listers.PersistentVolumeLister
	sets         appslisters.StatefulSetLister
	ingresses    networkinglisters.IngressLister
	policies     networkinglisters.NetworkPolicyLister
}

func newView(ctx context.Context, kube *kubernetes.Clientset) (*view, error) {
	factory := informers.NewSharedInformerFactory(kube, 0)
	v := &view{
		podInformer:  factory.Core().V1().Pods().Informer(),
		nodeInformer: factory.Core().V1().Nodes().Informer(),
		pods:         factory.Core().V1().Pods().Lister(),
		services:     factory.Core().V1().Services().Lister(),
		configs:      factory.Core().V1().ConfigMaps().Lister(),
		secrets:      factory.Core().V1().Secrets().Lister(),
		nodeLister:   factory.Core().V1().Nodes().Lister(),
		namespaces:   factory.Core().V1().Namespaces().Lister(),
		claims:       factory.Core().V1().PersistentVolumeClaims().Lister(),
		volumes:      factory.Core().V1().PersistentVolumes().Lister(),
		sets:         factory.Apps().V1().StatefulSets().Lister(),
		ingresses:    factory.Networking().V1().Ingresses().Lister(),
		policies:     factory.Networking().V1().NetworkPolicies().Lister(),
	}
	if err := v.podInformer.AddIndexers(cache.Indexers{
		byApp: func(object any) ([]string, error) {
			return []string{object.(*core.Pod).Labels["app.kubernetes.io/name"]}, nil
		},
		byAddress: func(object any) ([]string, error) { return []string{object.(*core.Pod).Status.PodIP}, nil },
	}); err != nil {
		return nil, err
	}
	bump := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { v.changes.Add(1) }, UpdateFunc: func(any, any) { v.changes.Add(1) }, DeleteFunc: func(any) { v.changes.Add(1) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		v.podInformer, factory.Core().V1().ConfigMaps().Informer(), factory.Core().V1().Secrets().Informer(),
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

func (v *view) nodes() []*core.Node {
	nodes, _ := v.nodeLister.List(labels.Everything())
	return nodes
}

// nodeAddress is empty for a node that is not known.
func (v *view) nodeAddress(name string) string {
	node, err := v.nodeLister.Get(name)
	if err != nil {
		return ""
	}
	return node.Status.Addresses[0].Address
}

func (v *view) statefulSets() []*apps.StatefulSet {
	sets, _ := v.sets.List(labels.Everything())
	return sets
}

func (v *view) everyIngress() []*networking.Ingress {
	ingresses, _ := v.ingresses.List(labels.Everything())
	return ingresses
}

func isReady(pod *core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// app is the name that charts give a pod.
func app(pod *core.Pod) string {
	if name := pod.Labels["app.kubernetes.io/name"]; name != "" {
		return name
	}
	return pod.Labels["k8s-app"]
}

func (v *view) podsBy(index, key string) []*core.Pod {
	objects, _ := v.podInformer.GetIndexer().ByIndex(index, key)
	pods := []*core.Pod{}
	for _, object := range objects {
		pods = append(pods, object.(*core.Pod))
	}
	return pods
}

// readyPods of an app, oldest first.
func (v *view) readyPods(name string) []*core.Pod {
	pods := slices.DeleteFunc(v.podsBy(byApp, name), func(pod *core.Pod) bool { return !isReady(pod) || pod.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b *core.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods
}

// endpoint is a ready pod and one of its ports.
type endpoint struct {
	pod  *core.Pod
	port int
}

// service finds a ready pod behind a Service's port, as kube-proxy would.
func (v *view) service(service *core.Service, port int) (endpoint, bool) {
	for _, entry := range service.Spec.Ports {
		if int(entry.Port) != port {
			continue
		}
		pods, _ := v.pods.Pods(service.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
		for _, pod := range pods {
			if !isReady(pod) || len(service.Spec.Selector) == 0 {
				continue
			}
			if target, ok := containerPort(pod, entry); ok {
				return endpoint{pod, target}, true
			}
		}
	}
	return endpoint{}, false
}

func containerPort(pod *core.Pod, entry core.ServicePort) (int, bool) {
	name := entry.TargetPort.StrVal
	if name == "" {
		if number := entry.TargetPort.IntValue(); number != 0 {
			return number, true
		}
		return int(entry.Port), true
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return int(port.ContainerPort), true
			}
		}
	}
	return 0, false
}

// find resolves HOST:PORT of the simulated cluster: a Service's name or ClusterIP, or a pod's address.
func (v *view) find(address string) (endpoint, bool) {
	host, text, err := net.SplitHostPort(address)
	port, convErr := strconv.Atoi(text)
	if err != nil || convErr != nil {
		return endpoint{}, false
	}
	if parts := strings.Split(strings.TrimSuffix(host, ".cluster.local"), "."); len(parts) == 3 && parts[2] == "svc" {
		service, err := v.services.Services(parts[1]).Get(parts[0])
		if err != nil {
			return endpoint{}, false
		}
		return v.service(service, port)
	}
	services, _ := v.services.List(labels.Everything())
	for _, service := range services {
		if service.Spec.ClusterIP == host {
			return v.service(service, port)
		}
	}
	for _, pod := range v.podsBy(byAddress, host) {
		if isReady(pod) && declares(pod, port) {
			return endpoint{pod, port}, true
		}
	}
	return endpoint{}, false
}

func declares(pod *core.Pod, port int) bool {
	for _, container := range pod.Spec.Containers {
		for _, declared := range container.Ports {
			if int(declared.ContainerPort) == port {
				return true
			}
		}
	}
	return false
}
