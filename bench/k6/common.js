// What the scripts share: users with tokens of their own, requests, figures.
//
// USERS: file with [{"id": ..., "token": ...}] · SERVICE: token of a service · ADDRESS: of the service
// VUS: how many at the same time · SECONDS: how long; without it, each user comes once
// PAUSE: seconds of thinking between requests · SUMMARY: file for the figures
import exec from 'k6/execution';
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Rate } from 'k6/metrics';
import { SharedArray } from 'k6/data';

export const users = new SharedArray('users', () => JSON.parse(open(__ENV.USERS)));

const kept = new Rate('kept');
const degraded = new Rate('degraded');
const pause = Number(__ENV.PAUSE || 0);
const vus = Number(__ENV.VUS);

const once = { executor: 'shared-iterations', vus, iterations: users.length, maxDuration: '9m' };
const lasting = { executor: 'constant-vus', vus, duration: `${__ENV.SECONDS}s` };

export const options = {
  scenarios: { all: __ENV.SECONDS ? lasting : once },
  summaryTrendStats: ['p(50)', 'p(95)', 'p(99)', 'max'],
  // Everything of one kind under one name, or k6 keeps a series for each user.
  systemTags: ['status', 'name'],
};

export const nextUser = () => users[exec.scenario.iterationInTest % users.length];

function asked(answer, expected) {
  const right = check(answer, { 'as expected': (a) => a.status === expected });
  if (pause) {
    sleep(pause);
  }
  return right ? answer : null;
}

export function get(path, token, name) {
  const headers = { Authorization: `Bearer ${token}` };
  return asked(http.get(__ENV.ADDRESS + path, { headers, tags: { name } }), 200);
}

export function post(path, token, name, body) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  return asked(http.post(__ENV.ADDRESS + path, JSON.stringify(body), { headers, tags: { name } }), 201);
}

export function list(user) {
  const answer = get(`/recs/${encodeURIComponent(user.id)}`, user.token, 'list');
  if (answer) {
    kept.add(answer.body.includes('"cache_hit":true'));
    degraded.add(!answer.body.includes('"degraded":[]'));
  }
  return answer;
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
