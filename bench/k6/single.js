// Sessions: a user sees a list, looks at what is like its first video, watches that, sees the next list.
import { get, list, nextUser, post } from './common.js';

export { handleSummary, options } from './common.js';

export default function () {
  const user = nextUser();
  const answer = list(user);
  if (!answer) {
    return;
  }
  const { recommendations, metadata } = answer.json();
  const video = recommendations[0].content_id;
  get(`/videos/${encodeURIComponent(video)}/similar`, user.token, 'similar');
  post(`/users/${encodeURIComponent(user.id)}/watch-history`, user.token, 'watch', {
    content_id: video,
    recommendation_id: metadata.recommendation_id,
  });
  list(user);
}
