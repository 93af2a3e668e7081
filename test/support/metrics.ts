/** Enables the metrics of an instance, with `metricsEnv`. */
export const metricsToken = 'a-token-for-the-metrics';
export const metricsEnv = { METRICS_TOKEN: metricsToken };

/** Reads all metrics of an instance by name, with labels in Prometheus' form: `nodejs_active_resources{type="Timeout"}`. */
export async function readMetrics({ url }: { readonly url: string }): Promise<Map<string, number>> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
  const figures = new Map<string, number>();
  for (const line of (await response.text()).split('\n')) {
    const [, name, value] = /^([^#\s][^ ]*(?:{[^}]*})?) (\S+)$/.exec(line) ?? [];
    if (name !== undefined) figures.set(name, Number(value));
  }
  return figures;
}
