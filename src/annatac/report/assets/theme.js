// Light, dark, or as the system is.
(function () {
  const names = ["automatic", "light", "dark"];
  const button = document.getElementById("theme");
  let chosen = 0;
  try { chosen = Math.max(names.indexOf(localStorage.getItem("annatac-colours")), 0); } catch { /* no storage here */ }
  function apply() {
    if (chosen) document.documentElement.dataset.theme = names[chosen];
    else delete document.documentElement.dataset.theme;
    button.textContent = "Colours: " + names[chosen];
    button.setAttribute("aria-label", "Colours of the page: " + names[chosen]);
    document.dispatchEvent(new Event("colours"));
  }
  button.addEventListener("click", () => {
    chosen = (chosen + 1) % names.length;
    try { localStorage.setItem("annatac-colours", names[chosen]); } catch { /* no storage here */ }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
})();
