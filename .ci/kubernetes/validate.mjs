// Validates the objects of operators (a JSON list on standard input) by the schemas of their custom
// resource definitions; prints how many there were. What it does not know is an error.
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import { ExternalSecret } from '@kubernetes-models/external-secrets/external-secrets.io/v1';
import { PodMonitor, PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { readFileSync } from 'node:fs';

const kinds = { HTTPRoute, ExternalSecret, PodMonitor, PrometheusRule };
const objects = JSON.parse(readFileSync(0, 'utf8'));
for (const object of objects) {
	const Kind = kinds[object.kind];
	if (Kind === undefined || object.apiVersion !== new Kind({ metadata: {} }).apiVersion) {
		throw new Error(`no schema of ${object.apiVersion} ${object.kind}`);
	}
	try {
		new Kind(object).validate();
	} catch (error) {
		throw new Error(`${object.kind} ${object.metadata.name}: ${error.message}`);
	}
}
console.log(`${objects.length} objects of operators are valid`);
