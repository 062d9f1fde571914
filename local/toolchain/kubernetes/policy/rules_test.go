package policy

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(namespace, app, address string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, UID: types.UID(app), Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		}}},
		Status: corev1.PodStatus{PodIP: address, Phase: corev1.PodRunning},
	}
}

func selector(app string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func shop(policies ...*networkingv1.NetworkPolicy) world {
	return world{
		pods:       []*corev1.Pod{pod("shop", "web", "10.0.0.1"), pod("shop", "db", "10.0.0.2"), pod("else", "web", "10.0.0.3")},
		namespaces: map[string]labels.Set{"shop": {"name": "shop"}, "else": {"name": "else"}},
		policies:   policies,
	}
}

func policy(app string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	spec.PodSelector = selector(app)
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: app}, Spec: spec}
}

func contains(t *testing.T, rules, wanted string) {
	t.Helper()
	if !strings.Contains(rules, wanted+"\n") {
		t.Errorf("no rule %q in\n%s", wanted, rules)
	}
}

func TestWithoutPoliciesNothingIsRejected(t *testing.T) {
	if rules := shop().render(); strings.Contains(rules, "REJECT") {
		t.Error(rules)
	}
}

func TestAPeerInTheSameNamespaceMayConnectToANamedPort(t *testing.T) {
	port, web := intstr.FromString("http"), selector("web")
	rules := shop(policy("db", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From: []networkingv1.NetworkPolicyPeer{{PodSelector: &web}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
		}},
	})).render()
	contains(t, rules, "-A MODELSTACK-INGRESS -d 10.0.0.2 -s 10.0.0.1 -p tcp --dport 8080 -j RETURN")
	contains(t, rules, "-A MODELSTACK-INGRESS -d 10.0.0.2 -j REJECT")
	if strings.Contains(rules, "10.0.0.3") {
		t.Error("a pod selector without a namespace selector selects only pods in the policy's own namespace")
	}
}

func TestAnEmptyNamespaceSelectorSelectsPodsOfAllNamespaces(t *testing.T) {
	rules := shop(policy("db", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
		}},
	})).render()
	contains(t, rules, "-A MODELSTACK-INGRESS -d 10.0.0.2 -s 10.0.0.3 -j RETURN")
}

func TestARuleWithoutPeersAllowsAllPeers(t *testing.T) {
	rules := shop(policy("db", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{}},
	})).render()
	contains(t, rules, "-A MODELSTACK-INGRESS -d 10.0.0.2 -j RETURN")
}

func TestTrafficThatEgressAllowsStillHasToPassIngress(t *testing.T) {
	rules := shop(policy("web", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress: []networkingv1.NetworkPolicyEgressRule{{
			To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"128.0.0.0/1"}}}},
		}},
	})).render()
	contains(t, rules, "-A MODELSTACK-EGRESS -s 10.0.0.1 -d 0.0.0.0/1 -g MODELSTACK-INGRESS")
	contains(t, rules, "-A MODELSTACK-EGRESS -s 10.0.0.1 -j REJECT")
	contains(t, rules, "-A MODELSTACK-EGRESS -g MODELSTACK-INGRESS")
}

func TestExceptionsAreRemovedFromABlock(t *testing.T) {
	found := blocks(&networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.88.0.0/16", "10.96.0.0/16"}})
	covered := 0
	for _, block := range found {
		for _, hole := range []string{"10.88.1.1", "10.96.0.1"} {
			if block.Contains(mustAddress(hole)) {
				t.Errorf("%s is in %s", hole, block)
			}
		}
		covered += 1 << (32 - block.Bits())
	}
	if covered != 1<<24-2<<16 {
		t.Errorf("%d addresses are left", covered)
	}
}

func mustAddress(text string) netip.Addr { return netip.MustParseAddr(text) }
