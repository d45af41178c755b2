"""The parsers that come with pqrnn, by the SHA-256 of their entries, which in turn state those of their files.

They are held to these digests whenever they are used, so that a changed weight in an installation is found. It takes
no signature: who could change this file could change the code that verifies one, too. A parser that is added to the
shipped shelf needs a line here, which `sha256sum pqrnn/zoo/checkpoints/NAME/entry.json` gives.
"""

ENTRIES = {
    "clinc150-en": "3250ab7eb9a29e4558159fb120d3b3d082af62adee5141077cc4c8f7c0457232",
    "massive-en": "7ab0bb1eb0b9f54596460b8ff4021b326daf6c4b1bbd50705fa66a198b4d9aa0",
    "mtop-de": "fba07ccefcccb893b3f04f7504640a94576e89cbc49266db289500e01663f571",
    "mtop-en": "3117bdd18639b5e2ee794188cf6e6066bff809500db6c91607c9cdfe0c33db4a",
    "mtop-es": "781a35c09b655e5084c85250a19fdaba73d8f81010096beda851d06554096a46",
    "mtop-fr": "7445fa9477b88b3d0f4f2e0335230ae1882e9cd1d420d42d7a135a2aec9f26b3",
    "mtop-hi": "4d2b7a02e680d1e51766bf64b33330d03576534d4ba2f783f6b80e7c68b6cbd7",
    "mtop-six": "0215cc3b08a8da38367649babc9baa7fbf39b3b9f6306bb0c9643266c54c2ed3",
    "mtop-th": "5ce142d1d6fdada1917132014d700992b8385b9a4ec8e1fd6d157a7defa472c5",
    "snips-en": "3118dd1addda399bff04c5f0b8ce84b4fb56f2da2a3636980065f1c4d9b619c1",
}
