"""The parsers that come with pqrnn, by the SHA-256 of their entries, which in turn state those of their files.

They are held to these digests whenever they are used, so that a changed weight in an installation is found. It takes
no signature: who could change this file could change the code that verifies one, too. A parser that is added to the
shipped shelf needs a line here, which `sha256sum pqrnn/zoo/checkpoints/NAME/entry.json` gives.
"""

ENTRIES = {
    "clinc150-en": "3250ab7eb9a29e4558159fb120d3b3d082af62adee5141077cc4c8f7c0457232",
    "home-assistant-de": "81cac6bb23b37bb9e841ed797860ed209d809d1e1a9c8eedfc538664b2e7d2ba",
    "home-assistant-en": "0e63a7183ed7d1c38b170770b4d6f7c7d0bc7027a169ede970e680de3d497477",
    "massive-en": "7ab0bb1eb0b9f54596460b8ff4021b326daf6c4b1bbd50705fa66a198b4d9aa0",
    "mtop-de": "67fbaa3083d8a5e9824ce9aefcda5c8dcbf7a3c632b5b9e9f7d6477de53f17e4",
    "mtop-en": "99f818ee6a0061a66bec744fd9cf932109cb8fc16294760dff459aa31a07e560",
    "mtop-es": "5460cfa9bb1187cac7982fe8e93d98c6dd2ce4a50c51d08bd34443b48ef2f280",
    "mtop-fr": "1edfc54bd9aa2281ddf980fb4f85a8aa2e707880b464a80a1bdfa972a4571efd",
    "mtop-hi": "37c94536ba2974e421981e634b2702ab7abb5059fda8ac81aa2bffe3974b42a4",
    "mtop-six": "93f6ee2757e52ee828b3e74b8d78ee8adcc7760b63314f555405f42b5919c6e2",
    "mtop-th": "92e76bae534af342265c7e063f5e2b3a61e1b877a71011dce4a63a8f127cd3fd",
    "snips-en": "3118dd1addda399bff04c5f0b8ce84b4fb56f2da2a3636980065f1c4d9b619c1",
}
