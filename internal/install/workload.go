package install

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// user is the uid and gid that the image runs as.
const user = 65532

// selector picks the controller's Pods. A Deployment's selector never changes,
// so neither may this.
func selector() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "abide", "app.kubernetes.io/component": "controller"}
}

// namespace is abide's own, where Pods are held to the restricted standard.
func namespace(o Options) runtime.Object {
	m := meta(o.Namespace, "")
	m.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	return &corev1.Namespace{ObjectMeta: m}
}

// workload is the controller and the Service in front of its metrics.
func workload(o Options) []runtime.Object {
	service := &corev1.Service{
		ObjectMeta: meta(MetricsService, o.Namespace),
		Spec: corev1.ServiceSpec{
			Selector: selector(),
			Ports: []corev1.ServicePort{{
				Name: "metrics", Port: MetricsPort, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("metrics"),
			}},
		},
	}
	one := int32(1)
	d := &appsv1.Deployment{
		ObjectMeta: meta(Deployment, o.Namespace),
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			// The old Pod gives its Lease back before the new one asks for it.
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Selector: &metav1.LabelSelector{MatchLabels: selector()},
			Template: corev1.PodTemplateSpec{Spec: podSpec(o)},
		},
	}
	maps.Copy(d.Labels, selector())
	d.Spec.Template.Labels = maps.Clone(d.Labels)
	return []runtime.Object{service, d}
}

func podSpec(o Options) corev1.PodSpec {
	yes, id := true, int64(user)
	return corev1.PodSpec{
		ServiceAccountName: ServiceAccount,
		NodeSelector:       map[string]string{"kubernetes.io/os": "linux"},
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &id, RunAsGroup: &id, FSGroup: &id,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{container(o)},
		Volumes: []corev1.Volume{
			{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
	}
}

func container(o Options) corev1.Container {
	yes, no := true, false
	args := []string{
		"controller",
		"--namespace=" + o.Namespace,
		"--cache-dir=" + CacheDir,
		fmt.Sprintf("--metrics-bind-address=:%d", MetricsPort),
		fmt.Sprintf("--health-probe-bind-address=:%d", HealthPort),
		// A lock on the cache directory does not reach a Pod on another node.
		"--leader-elect",
	}
	if o.AuditLog != "" {
		args = append(args, "--audit-log="+o.AuditLog)
	}
	return corev1.Container{
		Name:  "controller",
		Image: o.Image,
		Args:  args,
		Env:   []corev1.EnvVar{{Name: "HOME", Value: "/tmp"}, {Name: "TMPDIR", Value: "/tmp"}},
		Ports: []corev1.ContainerPort{
			{Name: "metrics", ContainerPort: MetricsPort, Protocol: corev1.ProtocolTCP},
			{Name: "health", ContainerPort: HealthPort, Protocol: corev1.ProtocolTCP},
		},
		LivenessProbe:  probe("/healthz", 10, 6),
		ReadinessProbe: probe("/readyz", 5, 2),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("50m"),
				corev1.ResourceMemory: resource.MustParse("128Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			ReadOnlyRootFilesystem:   &yes,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "cache", MountPath: CacheDir},
			{Name: "tmp", MountPath: "/tmp"},
		},
	}
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("health")},
		},
		PeriodSeconds:    period,
		FailureThreshold: failures,
	}
}
