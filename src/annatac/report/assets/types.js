// One type at a time, by its address; and the text to copy.
(function () {
  const pages = [...document.querySelectorAll(".type")], links = [...document.querySelectorAll(".types > nav a")];
  function open(scrolled) {
    const wanted = pages.find((page) => "#" + page.id === location.hash);
    const shown = wanted || pages.find((page) => !page.hidden) || pages[0];
    for (const page of pages) page.hidden = page !== shown;
    for (const link of links)
      if (link.hash === "#" + shown.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    if (wanted && scrolled) {
      $("types").scrollIntoView();
      wanted.focus({ preventScroll: true });
    }
  }
  if (pages.length) {
    pages.slice(1).forEach((page) => { page.hidden = true; });
    window.addEventListener("hashchange", () => open(true));
    open(true);
  }
  $("methods-copy").addEventListener("click", () => {
    const text = $("methods-text").innerText.trim(), said = $("methods-copied");
    const byHand = () => {
      getSelection().selectAllChildren($("methods-text"));
      said.textContent = "Selected: press Ctrl+C.";
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => { said.textContent = "Copied."; }, byHand);
    else byHand();
  });
})();
