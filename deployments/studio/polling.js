// Asks again and again, but only while somebody looks.

/**
 * Calls `ask` whenever the panel comes into view, and again after as many seconds as it returned; not after null.
 * Hidden panels and hidden pages ask nothing. Returns a function that asks at once.
 */
export function poll(panel, ask) {
  let timer = null;
  let asking = false;
  let wanted = false;

  async function turn() {
    clearTimeout(timer);
    if (panel.hidden || document.hidden) return;
    if (asking) {
      wanted = true;
      return;
    }
    asking = true;
    let nextS = null;
    try {
      nextS = await ask();
    } finally {
      asking = false;
    }
    if (wanted) {
      wanted = false;
      turn();
    } else if (nextS !== null) {
      timer = setTimeout(turn, nextS * 1000);
    }
  }

  document.addEventListener("visibilitychange", turn);
  panel.addEventListener("shown", turn);
  return turn;
}
