// Each user's list, over and over: how many are kept ones, and how fast those are.
import { list, nextUser } from './common.js';

export { handleSummary, options } from './common.js';

export default function () {
  list(nextUser());
}
