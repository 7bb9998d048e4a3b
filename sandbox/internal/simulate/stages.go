package simulate

import (
	"fmt"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodelease "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
)

// StorageClass is the name of the default storage class and Provisioner that
// of its provisioner.
const (
	StorageClass = "standard"
	Provisioner  = "sandbox.abide.dev"
)

// loadBalancer gives each Service of type LoadBalancer an address of RFC 5737,
// which leads nowhere.
const loadBalancer = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: service-load-balancer
spec:
  resourceRef: {apiGroup: v1, kind: Service}
  selector:
    matchExpressions:
    - {key: .spec.type, operator: In, values: [LoadBalancer]}
    - {key: .status.loadBalancer.ingress, operator: DoesNotExist}
  next:
    statusTemplate: |
      loadBalancer:
        ingress:
        - ip: 203.0.113.10
`

// provision makes a volume for each claim of our class. That it binds to the
// claim is left to the controller manager, as with a real provisioner.
const provision = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: claim-provision
spec:
  resourceRef: {apiGroup: v1, kind: PersistentVolumeClaim}
  selector:
    matchExpressions:
    - {key: .spec.storageClassName, operator: In, values: [` + StorageClass + `]}
    - {key: .spec.volumeName, operator: DoesNotExist}
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
  steps:
  - apply:
      template: |
        apiVersion: v1
        kind: PersistentVolume
        metadata:
          name: pvc-{{ .metadata.uid }}
          annotations:
            pv.kubernetes.io/provisioned-by: ` + Provisioner + `
        spec:
          storageClassName: ` + StorageClass + `
          persistentVolumeReclaimPolicy: Delete
          volumeMode: {{ or .spec.volumeMode "Filesystem" }}
          accessModes:
          {{ YAML .spec.accessModes 2 }}
          capacity:
            storage: {{ .spec.resources.requests.storage | Quote }}
          claimRef:
            apiVersion: v1
            kind: PersistentVolumeClaim
            namespace: {{ .metadata.namespace | Quote }}
            name: {{ .metadata.name | Quote }}
            uid: {{ .metadata.uid | Quote }}
          csi:
            driver: ` + Provisioner + `
            volumeHandle: {{ .metadata.uid | Quote }}
`

// reclaim removes a volume whose claim is gone.
const reclaim = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: volume-reclaim
spec:
  resourceRef: {apiGroup: v1, kind: PersistentVolume}
  selector:
    matchExpressions:
    - {key: .spec.csi.driver, operator: In, values: [` + Provisioner + `]}
    - {key: .spec.persistentVolumeReclaimPolicy, operator: In, values: [Delete]}
    - {key: .status.phase, operator: In, values: [Released]}
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
  next:
    delete: true
`

func localStages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for i, y := range []string{
		nodefast.DefaultNodeInit, nodelease.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
		loadBalancer, provision, reclaim,
	} {
		s, err := config.UnmarshalWithType[*internalversion.Stage](y)
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i, err)
		}
		stages[s.Spec.ResourceRef] = append(stages[s.Spec.ResourceRef], s)
	}
	return stages, nil
}
