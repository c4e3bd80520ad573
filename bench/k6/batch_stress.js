// Pages of 20 users' lists, one after the other, as a service asks for them.
import exec from 'k6/execution';
import { check } from 'k6';
import { get, users } from './common.js';

export { handleSummary, options } from './common.js';

const LIMIT = 20;
const pages = Math.ceil(users.length / LIMIT);

export default function () {
  const page = 1 + (exec.scenario.iterationInTest % pages);
  const answer = get(`/recommendations/batch?page=${page}&limit=${LIMIT}`, __ENV.SERVICE, 'page');
  if (answer) {
    check(answer.json(), { 'nobody failed': (body) => body.summary.failed_count === 0 });
  }
}
