// Package policy enforces NetworkPolicies on a one-node cluster by iptables rules in the node's network namespace.
//
// The rules filter the traffic that the node forwards: from pod to pod (the addresses of services are translated to those of
// pods before), and from pods to the outside. They do not filter traffic that the node itself sends (the kubelet's probes,
// requests from the machine to node ports) and traffic from pods to the node (cluster DNS, the API server), because the node is
// not a pod that a policy could select.
package policy

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	entry   = "MODELSTACK-POLICY"
	egress  = "MODELSTACK-EGRESS"
	ingress = "MODELSTACK-INGRESS"
)

// world is the state of the cluster from which the rules are derived.
type world struct {
	pods       []*corev1.Pod
	namespaces map[string]labels.Set
	policies   []*networkingv1.NetworkPolicy
}

// render returns the input of iptables-restore: three chains, which are always replaced together.
//
// A packet that its sender's policies allow goes on to the ingress chain. A packet that its receiver's policies allow returns
// to the chain that called the entry chain. All other packets from or to an isolated pod are rejected.
func (w world) render() string {
	var out []string
	out = append(out, "*filter")
	for _, chain := range []string{entry, egress, ingress} {
		out = append(out, fmt.Sprintf(":%s - [0:0]", chain))
	}
	out = append(out,
		fmt.Sprintf("-A %s -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", entry),
		fmt.Sprintf("-A %s -j %s", entry, egress),
	)
	for _, pod := range w.running() {
		out = append(out, w.podRules(pod, networkingv1.PolicyTypeEgress)...)
	}
	out = append(out, fmt.Sprintf("-A %s -g %s", egress, ingress))
	for _, pod := range w.running() {
		out = append(out, w.podRules(pod, networkingv1.PolicyTypeIngress)...)
	}
	return strings.Join(append(out, "COMMIT"), "\n") + "\n"
}

// running returns the pods that have not ended and have their own IPv4 address, in a stable order.
func (w world) running() []*corev1.Pod {
	var found []*corev1.Pod
	for _, pod := range w.pods {
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		address, err := netip.ParseAddr(pod.Status.PodIP)
		if !ended && !pod.Spec.HostNetwork && err == nil && address.Is4() {
			found = append(found, pod)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].UID < found[j].UID })
	return found
}

func (w world) podRules(pod *corev1.Pod, direction networkingv1.PolicyType) []string {
	isolated := false
	allowed := map[string]bool{}
	for _, policy := range w.policies {
		if policy.Namespace != pod.Namespace || !has(policy.Spec.PolicyTypes, direction) || !matches(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				w.allow(allowed, pod, direction, policy.Namespace, rule.From, rule.Ports)
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				w.allow(allowed, pod, direction, policy.Namespace, rule.To, rule.Ports)
			}
		}
	}
	if !isolated {
		return nil
	}
	chain, own, verdict := ingress, "-d "+pod.Status.PodIP, "-j RETURN"
	if direction == networkingv1.PolicyTypeEgress {
		chain, own, verdict = egress, "-s "+pod.Status.PodIP, "-g "+ingress
	}
	var out []string
	for match := range allowed {
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("-A %s %s %s %s", chain, own, match, verdict)), " "))
	}
	sort.Strings(out)
	return append(out, fmt.Sprintf("-A %s %s -j REJECT", chain, own))
}

// allow adds the iptables matches of one rule of a policy: each combination of a peer and a port.
func (w world) allow(
	into map[string]bool, pod *corev1.Pod, direction networkingv1.PolicyType, namespace string,
	peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort,
) {
	flag := "-s "
	if direction == networkingv1.PolicyTypeEgress {
		flag = "-d "
	}
	type end struct {
		match string
		pod   *corev1.Pod
	}
	var ends []end
	if len(peers) == 0 {
		ends = append(ends, end{})
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			for _, block := range blocks(peer.IPBlock) {
				ends = append(ends, end{match: flag + block.String()})
			}
			continue
		}
		for _, other := range w.running() {
			if w.selects(peer, namespace, other) {
				ends = append(ends, end{match: flag + other.Status.PodIP, pod: other})
			}
		}
	}
	for _, end := range ends {
		// A named port refers to the port with this name in the receiving pod.
		receiver := pod
		if direction == networkingv1.PolicyTypeEgress {
			receiver = end.pod
		}
		for _, port := range portMatches(ports, receiver) {
			into[end.match+" "+port] = true
		}
	}
}

func (w world) selects(peer networkingv1.NetworkPolicyPeer, namespace string, pod *corev1.Pod) bool {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false
		}
	} else if !matches(peer.NamespaceSelector, w.namespaces[pod.Namespace]) {
		return false
	}
	return peer.PodSelector == nil || matches(peer.PodSelector, pod.Labels)
}

func matches(selector *metav1.LabelSelector, set map[string]string) bool {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && compiled.Matches(labels.Set(set))
}

func has(types []networkingv1.PolicyType, wanted networkingv1.PolicyType) bool {
	for _, item := range types {
		if item == wanted {
			return true
		}
	}
	return false
}

// portMatches returns one match for each port. It returns one empty match if the rule has no ports, which means all ports, and
// no match if no port of the rule exists in the receiver.
func portMatches(ports []networkingv1.NetworkPolicyPort, receiver *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var out []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != corev1.ProtocolTCP && protocol != corev1.ProtocolUDP {
			continue
		}
		match := "-p " + strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			out = append(out, match)
		case port.Port.Type == intstr.String:
			if number := named(receiver, port.Port.StrVal, protocol); number != 0 {
				out = append(out, fmt.Sprintf("%s --dport %d", match, number))
			}
		case port.EndPort != nil:
			out = append(out, fmt.Sprintf("%s --dport %d:%d", match, port.Port.IntVal, *port.EndPort))
		default:
			out = append(out, fmt.Sprintf("%s --dport %d", match, port.Port.IntVal))
		}
	}
	return out
}

func named(pod *corev1.Pod, name string, protocol corev1.Protocol) int32 {
	if pod == nil {
		return 0
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && port.Protocol == protocol {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// blocks returns the parts of a block of addresses that remain without its exceptions.
func blocks(block *networkingv1.IPBlock) []netip.Prefix {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !whole.Addr().Is4() {
		return nil
	}
	remaining := []netip.Prefix{whole.Masked()}
	for _, text := range block.Except {
		hole, err := netip.ParsePrefix(text)
		if err != nil || !hole.Addr().Is4() {
			continue
		}
		var next []netip.Prefix
		for _, prefix := range remaining {
			next = append(next, without(prefix, hole.Masked())...)
		}
		remaining = next
	}
	return remaining
}

// without returns the parts of a block outside of the hole. It halves the block until each half is either inside or outside.
func without(prefix, hole netip.Prefix) []netip.Prefix {
	if !prefix.Overlaps(hole) {
		return []netip.Prefix{prefix}
	}
	if hole.Bits() <= prefix.Bits() {
		return nil
	}
	bits := prefix.Bits() + 1
	address := prefix.Addr().As4()
	address[(bits-1)/8] |= 1 << (7 - (bits-1)%8)
	lower, upper := netip.PrefixFrom(prefix.Addr(), bits), netip.PrefixFrom(netip.AddrFrom4(address), bits)
	return append(without(lower, hole), without(upper, hole)...)
}
