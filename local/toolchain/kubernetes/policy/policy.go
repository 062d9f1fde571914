package policy

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// Changes come in bursts: wait, so that the rules are written only once for all of them.
	settle = 100 * time.Millisecond
	// Check regularly that no other program has removed the jump to these chains.
	again = 30 * time.Second
)

func run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, DeleteFunc: func(any) { notify() },
		UpdateFunc: func(before, after any) {
			if !sameAddress(before, after) {
				notify()
			}
		},
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	var last string
	for {
		w, err := gather(pods.Lister().List, namespaces.Lister().List, policies.Lister().List)
		if err != nil {
			return err
		}
		if rules := w.render(); rules != last {
			if err := restore(rules); err != nil {
				return err
			}
			klog.InfoS("Rules replaced", "policies", len(w.policies), "rules", strings.Count(rules, "\n-A "))
			last = rules
		}
		if err := hook(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		case <-changed:
			time.Sleep(settle)
		}
	}
}

// sameAddress returns whether an update of a pod changes nothing that the rules depend on. Most updates of pods do not.
func sameAddress(before, after any) bool {
	old, isPod := before.(*corev1.Pod)
	if !isPod {
		return false
	}
	pod := after.(*corev1.Pod)
	return old.UID == pod.UID && old.Status.PodIP == pod.Status.PodIP && old.Status.Phase == pod.Status.Phase &&
		labels.Equals(old.Labels, pod.Labels)
}

func gather(
	pods func(labels.Selector) ([]*corev1.Pod, error),
	namespaces func(labels.Selector) ([]*corev1.Namespace, error),
	policies func(labels.Selector) ([]*networkingv1.NetworkPolicy, error),
) (world, error) {
	w := world{namespaces: map[string]labels.Set{}}
	var err error
	if w.pods, err = pods(labels.Everything()); err != nil {
		return w, err
	}
	if w.policies, err = policies(labels.Everything()); err != nil {
		return w, err
	}
	all, err := namespaces(labels.Everything())
	for _, namespace := range all {
		w.namespaces[namespace.Name] = namespace.Labels
	}
	return w, err
}

func restore(rules string) error {
	command := exec.Command("iptables-restore", "--noflush", "--wait")
	command.Stdin = strings.NewReader(rules)
	return output(command)
}

// hook makes the entry chain the first rule for forwarded packets.
func hook() error {
	if exec.Command("iptables", "--wait", "-C", "FORWARD", "-j", entry).Run() == nil {
		return nil
	}
	return output(exec.Command("iptables", "--wait", "-I", "FORWARD", "1", "-j", entry))
}

func output(command *exec.Cmd) error {
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, said.String())
	}
	return nil
}

// NewCommand returns the component's command line.
func NewCommand() *cobra.Command {
	var kubeconfig string
	command := &cobra.Command{
		Use: "network-policy",
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), kubeconfig)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "access to the API server")
	return command
}
