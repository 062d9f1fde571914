// Package metrics serves metrics.k8s.io/v1beta1 for one node, so that HorizontalPodAutoscalers know the use of CPU and
// memory. It passes on what the kubelet measures. (The usual metrics-server, as far as the module proxy has it, needs a
// newer Kubernetes than the one linked here.)
package metrics

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// The kubelet measures at most this often.
var window = metav1.Duration{Duration: 10 * time.Second}

type server struct {
	pods    kubernetes.Interface
	kubelet *http.Client
	url     string
}

type options struct {
	kubeconfig, kubelet, listen, certificate, key, clientCA string
}

func (s server) summary(ctx context.Context) (*stats.Summary, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/stats/summary", nil)
	if err != nil {
		return nil, err
	}
	response, err := s.kubelet.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the kubelet answered %s", response.Status)
	}
	var summary stats.Summary
	return &summary, json.NewDecoder(response.Body).Decode(&summary)
}

// usage returns nil if the kubelet has not measured often enough yet.
func usage(cpu *stats.CPUStats, memory *stats.MemoryStats) corev1.ResourceList {
	if cpu == nil || cpu.UsageNanoCores == nil || memory == nil || memory.WorkingSetBytes == nil {
		return nil
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewScaledQuantity(int64(*cpu.UsageNanoCores), resource.Nano),
		corev1.ResourceMemory: *resource.NewQuantity(int64(*memory.WorkingSetBytes), resource.BinarySI),
	}
}

func podMetrics(pod corev1.Pod, measured stats.PodStats) *metricsv1beta1.PodMetrics {
	result := &metricsv1beta1.PodMetrics{
		TypeMeta: metav1.TypeMeta{APIVersion: metricsv1beta1.SchemeGroupVersion.String(), Kind: "PodMetrics"},
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, CreationTimestamp: metav1.Now(),
		},
		Window:     window,
		Containers: []metricsv1beta1.ContainerMetrics{},
	}
	for _, container := range measured.Containers {
		used := usage(container.CPU, container.Memory)
		if used == nil {
			// Omit the pod until all its containers are measured. Otherwise an autoscaler would see too low a use.
			return nil
		}
		result.Timestamp = container.CPU.Time
		result.Containers = append(result.Containers, metricsv1beta1.ContainerMetrics{Name: container.Name, Usage: used})
	}
	if len(result.Containers) == 0 {
		return nil
	}
	return result
}

func (s server) listPods(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := r.PathValue("name")
	selection := metav1.ListOptions{LabelSelector: query.Get("labelSelector"), FieldSelector: query.Get("fieldSelector")}
	if name != "" {
		selection = metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	}
	pods, err := s.pods.CoreV1().Pods(r.PathValue("namespace")).List(r.Context(), selection)
	if err != nil {
		fail(w, err)
		return
	}
	summary, err := s.summary(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	measured := map[string]stats.PodStats{}
	for _, pod := range summary.Pods {
		measured[pod.PodRef.UID] = pod
	}
	list := metricsv1beta1.PodMetricsList{
		TypeMeta: metav1.TypeMeta{APIVersion: metricsv1beta1.SchemeGroupVersion.String(), Kind: "PodMetricsList"},
		Items:    []metricsv1beta1.PodMetrics{},
	}
	for _, pod := range pods.Items {
		if found := podMetrics(pod, measured[string(pod.UID)]); found != nil {
			list.Items = append(list.Items, *found)
		}
	}
	switch {
	case name == "":
		answer(w, http.StatusOK, list)
	case len(list.Items) == 0:
		fail(w, apierrors.NewNotFound(metricsv1beta1.Resource("pods"), name))
	default:
		answer(w, http.StatusOK, list.Items[0])
	}
}

func (s server) listNodes(w http.ResponseWriter, r *http.Request) {
	summary, err := s.summary(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	name := r.PathValue("name")
	kind := metav1.TypeMeta{APIVersion: metricsv1beta1.SchemeGroupVersion.String(), Kind: "NodeMetrics"}
	items := []metricsv1beta1.NodeMetrics{}
	used := usage(summary.Node.CPU, summary.Node.Memory)
	if used != nil && (name == "" || name == summary.Node.NodeName) {
		items = append(items, metricsv1beta1.NodeMetrics{
			TypeMeta: kind, ObjectMeta: metav1.ObjectMeta{Name: summary.Node.NodeName, CreationTimestamp: metav1.Now()},
			Timestamp: summary.Node.CPU.Time, Window: window, Usage: used,
		})
	}
	switch {
	case name == "":
		kind.Kind = "NodeMetricsList"
		answer(w, http.StatusOK, metricsv1beta1.NodeMetricsList{TypeMeta: kind, Items: items})
	case len(items) == 0:
		fail(w, apierrors.NewNotFound(metricsv1beta1.Resource("nodes"), name))
	default:
		answer(w, http.StatusOK, items[0])
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, err error) {
	status := apierrors.NewInternalError(err).Status()
	if known, ok := err.(apierrors.APIStatus); ok {
		status = known.Status()
	}
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(status.Code), status)
}

func discovery() (metav1.APIGroup, metav1.APIResourceList) {
	version := metav1.GroupVersionForDiscovery{GroupVersion: metricsv1beta1.SchemeGroupVersion.String(), Version: "v1beta1"}
	group := metav1.APIGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroup"}, Name: metricsv1beta1.GroupName,
		Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
	}
	verbs := metav1.Verbs{"get", "list"}
	return group, metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"},
		GroupVersion: version.GroupVersion,
		APIResources: []metav1.APIResource{
			{Name: "nodes", Kind: "NodeMetrics", Verbs: verbs},
			{Name: "pods", Kind: "PodMetrics", Namespaced: true, Verbs: verbs},
		},
	}
}

func (s server) handler() http.Handler {
	group, resources := discovery()
	mux := http.NewServeMux()
	prefix := "GET /apis/" + resources.GroupVersion
	mux.HandleFunc("GET /apis", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, metav1.APIGroupList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}, Groups: []metav1.APIGroup{group},
		})
	})
	mux.HandleFunc("GET /apis/"+group.Name, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, group) })
	mux.HandleFunc(prefix, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, resources) })
	mux.HandleFunc(prefix+"/nodes", s.listNodes)
	mux.HandleFunc(prefix+"/nodes/{name}", s.listNodes)
	mux.HandleFunc(prefix+"/pods", s.listPods)
	mux.HandleFunc(prefix+"/namespaces/{namespace}/pods", s.listPods)
	mux.HandleFunc(prefix+"/namespaces/{namespace}/pods/{name}", s.listPods)
	return mux
}

func run(o options) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(o.clientCA)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(authority) {
		return fmt.Errorf("no certificate in %s", o.clientCA)
	}
	s := server{pods: client, kubelet: &http.Client{Transport: transport, Timeout: 10 * time.Second}, url: o.kubelet}
	// Only the API server has a certificate of this authority, and it authorizes each request before it forwards it.
	listener := &http.Server{
		Addr: o.listen, Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert},
	}
	return listener.ListenAndServeTLS(o.certificate, o.key)
}

// NewCommand returns the component's command line.
func NewCommand() *cobra.Command {
	var o options
	command := &cobra.Command{Use: "metrics", RunE: func(*cobra.Command, []string) error { return run(o) }}
	flags := command.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "access to the API server and the kubelet")
	flags.StringVar(&o.kubelet, "kubelet", "", "address of the kubelet, as in https://10.0.0.1:10250")
	flags.StringVar(&o.listen, "listen", "", "host:port to listen at")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "certificate of this server")
	flags.StringVar(&o.key, "tls-private-key-file", "", "its key")
	flags.StringVar(&o.clientCA, "client-ca-file", "", "authority of the API server's client certificate")
	return command
}
