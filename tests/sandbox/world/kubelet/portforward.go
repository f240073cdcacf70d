package kubelet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"

	"tailwatch.dev/sandbox/world/cluster"
)

// portForward connects the API server's port-forwards to the backend of the pod. They come from the pod's own node, which
// NetworkPolicies always allow.
func (k *Kubelet) portForward(answer http.ResponseWriter, request *http.Request) {
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	pod := forwarded{k, request.PathValue("namespace")}
	portforward.ServePortForward(answer, request, pod, request.PathValue("pod"), "", options, 4*time.Hour, 30*time.Second, portforward.SupportedProtocols)
}

type forwarded struct {
	kubelet   *Kubelet
	namespace string
}

// PortForward connects one stream to its port.
func (f forwarded) PortForward(_ context.Context, name, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	pod, err := f.kubelet.network.Objects().Pods.Pods(f.namespace).Get(name)
	if err != nil {
		return err
	}
	refused := fmt.Errorf("failed to connect to localhost:%d inside the pod: connection refused", port)
	if !cluster.Declares(pod, int(port)) {
		return refused
	}
	upstream, err := net.DialTimeout("tcp", f.kubelet.network.Local(cluster.Endpoint{Pod: pod, Port: int(port)}), 3*time.Second)
	if err != nil {
		return refused
	}
	defer upstream.Close()
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(upstream, stream); done <- struct{}{} }()
	go func() { _, _ = io.Copy(stream, upstream); done <- struct{}{} }()
	<-done
	return nil
}
