// What is printed before anything is written.
import { hasHostRoutes, hasMediaDomain } from './plan.mjs';

/** The checks, one to a line, each with its cure. */
export function describeChecks(checks) {
  return ['What was found', ...checks.map(describeCheck)].join('\n');
}

/** One check, with its cure below it. */
export function describeCheck({ level, what, cure }) {
  const line = `  ${level.padEnd(4)}  ${what}`;
  return cure === undefined ? line : `${line}\n        ${cure}.`;
}

/** The edits as a diff would have them. */
export function describeEdits(edits, path) {
  if (edits.length === 0) return `${path} is as it should be.`;
  return [path, ...edits.flatMap(diff)].join('\n');
}

/** One edit, as its lines before and after. */
export function diff({ name, before, after }) {
  const line = (value) =>
    name === undefined ? describeRoute(value) : `${name} = ${JSON.stringify(value)}`;
  return [
    ...(before === undefined ? [] : [`- ${line(before)}`]),
    ...(after === undefined ? [] : [`+ ${line(after)}`]),
  ];
}

/** What comes of a deployment with these variables and routes, and what doesn't. */
export function describeDeployment(
  { name, vars, routes },
  { layout, announces, publicHost, wellKnownUrl },
) {
  const leads = routes.map((route) =>
    route.custom_domain
      ? `${route.pattern}: a domain of its own; Cloudflare makes its DNS record and certificate`
      : `${route.pattern}: a route in the zone ${route.zone_name ?? route.zone_id}`,
  );
  const kept = [`the homeserver at ${vars.HOMESERVER_URL}: nothing is installed or changed there`];
  if (vars.PUBLIC_URL !== undefined)
    kept.push(`the address that clients know: ${vars.PUBLIC_URL}`);
  if (hasHostRoutes(layout))
    kept.push(`everything on ${publicHost} but media: it does not pass through the Worker`);
  else kept.push("the homeserver's own host: media can still be had there as before");
  if (hasMediaDomain(layout) || announces) {
    kept.push(
      announces
        ? `the well-known documents on ${wellKnownUrl.host}: the Worker adds its member on the way`
        : 'the well-known documents: you name the media server in them yourself (docs/deploy.md)',
    );
  }
  return [
    'What "make deploy" puts on Cloudflare',
    ...[`the Worker ${name}`, ...leads].map((line) => `  ${line}`),
    '',
    'What stays as it is',
    ...kept.map((line) => `  ${line}`),
  ].join('\n');
}

function describeRoute({ pattern, zone_name: zone, custom_domain: isDomain }) {
  return `[[routes]] ${pattern}${isDomain ? ' (custom domain)' : zone ? ` (zone ${zone})` : ''}`;
}
