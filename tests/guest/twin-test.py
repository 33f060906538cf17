#!/usr/bin/env python3
"""A distribution's init and its sessions on this machine, without a VM: twin-test.py GUEST-TWIN

Needs root (namespaces, overlayfs, group ids); without it the tests are skipped, which is a failure with
WSL_TESTS_MUST_RUN=1.
"""
import os
import shutil
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer  # noqa: E402
from sessions import SessionTests  # noqa: E402


class TwinTest(SessionTests, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="lxss-twin-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.twin = peer.Twin(sys.argv[1], cls.dir)
        cls.addClassCleanup(cls.twin.kill)
        cls.d = cls.twin.distro
        cls.d.configure(name="Test", hostname="test host.example")

    @classmethod
    def tearDownClass(cls):
        assert cls.twin.stop() == 0


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root", file=sys.stderr)
        sys.exit(1 if os.environ.get("WSL_TESTS_MUST_RUN") == "1" else 77)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell's background jobs ignore it, and so would init
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2, warnings="ignore")
