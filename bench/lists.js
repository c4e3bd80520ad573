// GET /recs/{user} over all users, each with a token of their own.
//
// USERS: file with [{"id": ..., "token": ...}] · ADDRESS: of the service · VUS: connections
// SECONDS: how long; without it, each user is asked once · SUMMARY: file for the figures
import exec from 'k6/execution';
import http from 'k6/http';
import { check } from 'k6';
import { Rate } from 'k6/metrics';
import { SharedArray } from 'k6/data';

const users = new SharedArray('users', () => JSON.parse(open(__ENV.USERS)));
const kept = new Rate('kept');
const degraded = new Rate('degraded');
const vus = Number(__ENV.VUS);

const once = { executor: 'shared-iterations', vus, iterations: users.length, maxDuration: '9m' };
const seconds = __ENV.SECONDS;
const lasting = { executor: 'constant-vus', vus, duration: `${seconds}s` };

export const options = {
  scenarios: { lists: seconds ? lasting : once },
  summaryTrendStats: ['p(50)', 'p(95)', 'p(99)', 'max'],
  // Everything about one user under one name, or k6 keeps a series for each.
  systemTags: ['status', 'name'],
};

export default function () {
  const user = users[exec.scenario.iterationInTest % users.length];
  const answer = http.get(`${__ENV.ADDRESS}/recs/${encodeURIComponent(user.id)}`, {
    headers: { Authorization: `Bearer ${user.token}` },
    tags: { name: 'list' },
  });
  if (!check(answer, { 'a full list': (a) => a.status === 200 && a.body.includes('content_id') })) {
    return;
  }
  kept.add(answer.body.includes('"cache_hit":true'));
  degraded.add(!answer.body.includes('"degraded":[]'));
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
