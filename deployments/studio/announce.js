// Says to those who do not see the page what has changed on it.

/** Puts a sentence into the page's live region. */
export function announce(sentence) {
  document.getElementById("announcements").textContent = sentence;
}
