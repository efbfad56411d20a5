//! OpenSSL's AES-128-OCB, out of the machine's `libcrypto`.
#![allow(unsafe_code, reason = "calls a C library")]

use std::ffi::{c_int, c_uchar, c_void};
use std::ptr;

use libloading::Library;

const LIBRARY: &str = "libcrypto.so.3";
/// Octets of a tag, and of a nonce as the cipher takes it.
const TAG: usize = 16;
const NONCE: usize = 12;
/// `EVP_CTRL_AEAD_GET_TAG` and `EVP_CTRL_AEAD_SET_TAG`.
const GET_TAG: c_int = 0x10;
const SET_TAG: c_int = 0x11;

type New = unsafe extern "C" fn() -> *mut c_void;
type Cipher = unsafe extern "C" fn() -> *const c_void;
type Init = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    *mut c_void,
    *const c_uchar,
    *const c_uchar,
    c_int,
) -> c_int;
type Update =
    unsafe extern "C" fn(*mut c_void, *mut c_uchar, *mut c_int, *const c_uchar, c_int) -> c_int;
type Final = unsafe extern "C" fn(*mut c_void, *mut c_uchar, *mut c_int) -> c_int;
type Control = unsafe extern "C" fn(*mut c_void, c_int, c_int, *mut c_void) -> c_int;

/// The functions that are called, and a context for each direction.
pub(super) struct Ocb {
    init: Init,
    update: Update,
    finish: Final,
    control: Control,
    free: unsafe extern "C" fn(*mut c_void),
    sealing: *mut c_void,
    opening: *mut c_void,
    /// Keeps the functions where they are.
    _library: Library,
}

impl Ocb {
    pub(super) fn new(key: &[u8; 16]) -> Result<Self, String> {
        // SAFETY: the library's initialisers are OpenSSL's, which may run at any time.
        let library = unsafe { Library::new(LIBRARY) }.map_err(|err| err.to_string())?;
        let new: New = symbol(&library, b"EVP_CIPHER_CTX_new\0")?;
        let cipher: Cipher = symbol(&library, b"EVP_aes_128_ocb\0")?;
        // SAFETY: it takes nothing, and gives a context or null.
        let sealing = unsafe { new() };
        // SAFETY: as above.
        let opening = unsafe { new() };
        let mut ocb = Ocb {
            init: symbol(&library, b"EVP_CipherInit_ex\0")?,
            update: symbol(&library, b"EVP_CipherUpdate\0")?,
            finish: symbol(&library, b"EVP_CipherFinal_ex\0")?,
            control: symbol(&library, b"EVP_CIPHER_CTX_ctrl\0")?,
            free: symbol(&library, b"EVP_CIPHER_CTX_free\0")?,
            sealing,
            opening,
            _library: library,
        };
        // SAFETY: it takes nothing, and gives a description that lasts, or null.
        let cipher = unsafe { cipher() };
        if ocb.sealing.is_null() || ocb.opening.is_null() || cipher.is_null() {
            return Err("OpenSSL has no AES-128-OCB".to_owned());
        }
        ocb.start(ocb.sealing, cipher, key.as_ptr(), ptr::null(), 1)?;
        ocb.start(ocb.opening, cipher, key.as_ptr(), ptr::null(), 0)?;
        Ok(ocb)
    }

    fn start(
        &mut self,
        context: *mut c_void,
        cipher: *const c_void,
        key: *const c_uchar,
        nonce: *const c_uchar,
        seals: c_int,
    ) -> Result<(), String> {
        // SAFETY: the context is one of this value's, the cipher OpenSSL's own or null; key and nonce
        // are null or arrays of the callers' of the lengths that the cipher has by default, 16 and 12.
        check(unsafe { (self.init)(context, cipher, ptr::null_mut(), key, nonce, seals) })
    }

    /// Runs `octets` through the cipher in place.
    fn run(&mut self, context: *mut c_void, octets: &mut [u8]) -> Result<(), String> {
        let (mut done, len) = (
            0,
            c_int::try_from(octets.len()).map_err(|err| err.to_string())?,
        );
        let at = octets.as_mut_ptr();
        // SAFETY: input and output are the same `len` octets, which the cipher allows, and the last
        // partial block is written behind what is done, within them.
        check(unsafe { (self.update)(context, at, &mut done, at, len) })?;
        let rest = usize::try_from(done).map_err(|err| err.to_string())?;
        let at = octets[rest..].as_mut_ptr();
        // SAFETY: as above.
        check(unsafe { (self.finish)(context, at, &mut done) })
    }

    fn tag(&mut self, context: *mut c_void, control: c_int, tag: &mut [u8]) -> Result<(), String> {
        assert_eq!(tag.len(), TAG, "a tag");
        let at = tag.as_mut_ptr().cast();
        // SAFETY: `tag` has as many octets as are announced.
        check(unsafe { (self.control)(context, control, TAG as c_int, at) })
    }

    /// Seals `plain` into `out`, which has room for it and the tag.
    pub(super) fn seal(&mut self, number: u64, plain: &[u8], out: &mut [u8]) -> Result<(), String> {
        let context = self.sealing;
        self.start(context, ptr::null(), ptr::null(), nonce(number).as_ptr(), 1)?;
        let (text, tag) = out.split_at_mut(plain.len());
        text.copy_from_slice(plain);
        self.run(context, text)?;
        self.tag(context, GET_TAG, tag)
    }

    /// Opens what [`seal`](Self::seal) made, in place.
    pub(super) fn open(&mut self, number: u64, sealed: &mut [u8]) -> Result<(), String> {
        let context = self.opening;
        self.start(context, ptr::null(), ptr::null(), nonce(number).as_ptr(), 0)?;
        let (text, tag) = sealed.split_at_mut(sealed.len() - TAG);
        self.tag(context, SET_TAG, tag)?;
        self.run(context, text)
    }
}

impl Drop for Ocb {
    fn drop(&mut self) {
        for context in [self.sealing, self.opening] {
            // SAFETY: both came from `EVP_CIPHER_CTX_new` and are freed once; null is allowed.
            unsafe { (self.free)(context) }
        }
    }
}

/// Looks a function up, whose type the caller has from OpenSSL's manual.
fn symbol<T: Copy>(library: &Library, name: &[u8]) -> Result<T, String> {
    // SAFETY: every `T` that is asked for is the C type of the function with that name.
    let found = unsafe { library.get::<T>(name) };
    found.map(|symbol| *symbol).map_err(|err| err.to_string())
}

fn nonce(number: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[NONCE - 8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn check(result: c_int) -> Result<(), String> {
    if result == 1 {
        Ok(())
    } else {
        Err("OpenSSL refuses".to_owned())
    }
}
